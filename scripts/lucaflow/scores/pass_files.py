"""Which folders of passes does nothing use any more?"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from lucaflow.records.sharding import FINGERPRINT_NAMES

# The folder in `scores/`, and the ending of the files in the folders of fingerprints below it.
PASSES, SUFFIX = "passes", ".sqlite"


def unused_pass_folders(dataset: Path, current: Collection[str]) -> list[Path]:
    """Return the folders of passes of a dataset that the configuration does not use.

    dataset: results/<dataset>; current: the names of the folders that the configuration uses, the first 12 characters
    of fingerprints.
    """
    found = sorted(dataset.glob(f"*/scores/{PASSES}/{FINGERPRINT_NAMES}/"))
    return [path for path in found if path.name not in current]


def remove_passes(folder: Path) -> list[Path]:
    """Remove a folder of passes; return other files in it, with which it stays."""
    for pattern in (f"*{SUFFIX}", f"*{SUFFIX}-journal", f".*{SUFFIX}.lock", "*.done"):
        for path in folder.glob(pattern):
            path.unlink()
    left = sorted(folder.iterdir())
    if not left:
        folder.rmdir()
    return left
