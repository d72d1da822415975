"""Run the functions of a part of the page in this process: gpu_page.py starts it.

    python gpu_part.py DEVICE ROWS MODULE:FUNCTION ...

Each row is added to the file ROWS when it is known, as a line of JSON: what, what was found, whether it is right.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import stand_ins

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))
sys.path.insert(0, str(ROOT / "scripts"))

Row = tuple[str, str, bool]


def rows_of(name: str, device: str) -> Iterator[Row]:
    """Yield the rows of `module:function`, or of `module:CHECKS`."""
    module, _, wanted = name.partition(":")
    contents = getattr(importlib.import_module(module), wanted)
    import torch
    from cases import NotHere

    chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    try:
        if isinstance(contents, list):
            for check in contents:
                yield row_of(check, chosen)
        else:
            yield from contents(chosen)
    except NotHere as reason:
        yield wanted.replace("_", " "), str(reason), True


def row_of(check: object, device: object) -> Row:
    """Return the row of a check. A check that fails does not end the others; its traceback goes to the log."""
    from cases import Check, NotHere

    assert isinstance(check, Check)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return check.name, check.run(device, Path(folder)), True
        except NotHere as reason:
            return check.name, str(reason), True
        except Exception as error:
            traceback.print_exc()
            return check.name, f"**failed**: {type(error).__name__}: {str(error)[:300]}", False


def main() -> None:
    device, path, *names = sys.argv[1:]
    stand_ins.install()
    good = True
    with Path(path).open("w") as file:
        for name in names:
            for row in rows_of(name, device):
                good &= row[2]
                file.write(json.dumps(row) + "\n")
                file.flush()
    sys.exit(not good)


if __name__ == "__main__":
    main()
