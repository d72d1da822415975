"""A folder of fetched files: known by the digests in SHA256SUMS; fetched.json says that all are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lucaflow.errors import CheckpointError
from lucaflow.files import sha256_of, write_text

SUMS_NAME = "SHA256SUMS"
RECORD_NAME = "fetched.json"


def damaged(folder: Path) -> dict[str, str]:
    """Compare a folder's files with its SHA256SUMS; return what is wrong, by name."""
    found = {}
    for name, digest in read_sums(folder).items():
        path = folder / name
        if not path.is_file():
            found[name] = "missing"
        elif (actual := sha256_of(path)) != digest:
            found[name] = f"its digest is {actual}, expected {digest}"
    return found


def discard_damaged(folder: Path) -> None:
    """Raise CheckpointError that names damaged files, after removing them, so that the next run fetches them again."""
    problems = damaged(folder)
    if not problems:
        return
    for name in problems:
        (folder / name).unlink(missing_ok=True)
    (folder / RECORD_NAME).unlink(missing_ok=True)
    lines = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    raise CheckpointError(
        f"{folder}: {lines}. What was damaged is removed. Run `snakemake fetch`, which needs a connection, to fetch "
        f"it again; it must then be what {SUMS_NAME} says."
    )


def read_sums(folder: Path) -> dict[str, str]:
    """Return the digests in a folder's SHA256SUMS, by name."""
    path = folder / SUMS_NAME
    if not path.is_file():
        return {}
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or Path(name).name != name:
            raise CheckpointError(f"{path}, line {number}: {line!r} is no digest and file name. Correct or delete it.")
        sums[name] = digest
    return sums


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write SHA256SUMS, which `sha256sum --check` reads as well."""
    write_text(folder / SUMS_NAME, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
