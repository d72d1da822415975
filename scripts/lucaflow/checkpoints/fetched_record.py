"""Records of a folder of fetched files: SHA256SUMS holds their checksums, fetched.json says that they are complete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from lucaflow.errors import CheckpointError
from lucaflow.files.json_files import parse_json
from lucaflow.files.places import inside
from lucaflow.files.writing import write_text

SUMS_NAME = "SHA256SUMS"
FETCHED_RECORD = "fetched.json"
# Held by a process that fetches into the folder or reads from it.
LOCK_NAME = ".lock"


def recorded_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 checksums in fetched.json, by name; none if the file is missing."""
    path = folder / FETCHED_RECORD
    if not path.is_file():
        return {}
    try:
        files = parse_json(path)["files"]
        return {_checked(folder, name): entry["sha256"] for name, entry in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged ({error!r}). Delete it and run again.") from error


def is_complete(folder: Path) -> bool:
    """Return whether all files that were fetched into a folder are still there."""
    try:
        sums = recorded_sums(folder)
    except CheckpointError:
        return False
    return bool(sums) and all((folder / name).is_file() for name in sums)


def read_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 checksums in SHA256SUMS, by name; none if the file is missing."""
    path = folder / SUMS_NAME
    if not path.is_file():
        return {}
    sums = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            digest, separator, name = line.partition("  ")
            if not separator or not re.fullmatch("[0-9a-f]{64}", digest):
                raise ValueError(f"{line!r} is not a checksum and a file name")
            sums[_checked(folder, name)] = digest
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}). Correct it, or delete it, and run again.") from error
    return sums


def _checked(folder: Path, name: str) -> str:
    """Return the name of a file of `folder`. Raises ValueError if it leads out.

    The file may be a link, for example to a larger disk; a folder on the way to it must not lead out.
    """
    inside(folder, name, links=False)
    if "/" in name:
        inside(folder, name.rpartition("/")[0])
    return name


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write SHA256SUMS, which `sha256sum --check` reads as well."""
    write_text(folder / SUMS_NAME, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
