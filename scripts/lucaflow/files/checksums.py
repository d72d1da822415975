"""SHA-256 checksums of files, and lists of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from lucaflow.files.places import inside
from lucaflow.files.writing import replacing

# Of a list of checksums.
LIST_SUFFIX = ".sha256"
_SHOWN = 3


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def size_and_sha256(path: Path) -> dict[str, Any]:
    """Return a file's size in bytes and its SHA-256."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def write_list(path: Path, folder: Path) -> None:
    """Write the SHA-256 of a folder's files as a list beside the folder, which `sha256sum --check` reads."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as lines:
        lines.writelines(f"{sha256_of(file)}  {folder.name}/{file.name}\n" for file in sorted(folder.iterdir()))


def damage_of_listed(path: Path) -> str:
    """Compare the files in a list with their SHA-256; return up to three differences, or an empty text.

    A name that leads out of the folder of the list is a difference, and its file is not read.
    """
    found = list(islice(_differences_from_list(path), _SHOWN + 1))
    return "; ".join(found[:_SHOWN]) + ("; and more" if found[_SHOWN:] else "")


def _differences_from_list(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            digest, _, name = line.removesuffix("\n").partition("  ")
            try:
                file = inside(path.parent, name, printable=False)
            except ValueError as error:
                yield str(error)
                continue
            if not file.is_file():
                yield f"{name} is missing"
            elif sha256_of(file) != digest:
                yield f"{name} has changed since it was written"


def difference(path: Path, size: int, digest: str) -> str:
    """Return how a file differs from its expected size and SHA-256, or an empty text."""
    if not path.is_file():
        return "missing"
    if path.stat().st_size != size:
        return f"{path.stat().st_size} bytes, expected {size}"
    return "" if sha256_of(path) == digest else "its content has changed"
