"""SHA-256 checksums of files, and the checksum files that are kept beside results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from lucaflow.errors import UnreadableError

_SHOWN = 3


def checksum_file_of(path: Path) -> Path:
    """Return the path of the checksum file for a result file or folder; `sha256sum --check` reads it as well."""
    return path.with_name(f".{path.name}.sha256")


def differences_from_checksums(path: Path) -> Iterator[str]:
    """Yield the differences between a result and its checksum file. Files added to a folder later are ignored."""
    damaged = f"its checksum in {checksum_file_of(path).name} is damaged"
    with checksum_file_of(path).open(encoding="utf-8", newline="\n") as lines:
        if not checksum_file_of(path).stat().st_size:
            yield damaged
        for line in lines:
            digest, _, name = line.removesuffix("\n").partition("  ")
            file = path.parent / name
            if not name or not file.is_relative_to(path):
                yield damaged
            elif not file.is_file():
                yield f"{name} is missing"
            elif sha256_of(file) != digest:
                yield f"{name} has changed since it was written" if path.is_dir() else "changed since it was written"


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def size_and_sha256(path: Path) -> dict[str, Any]:
    """Return a file's size in bytes and its SHA-256."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def results_with_checksum(folder: Path, pattern: str) -> list[Path]:
    """Return the existing results whose checksum file matches a pattern."""
    checksum_files = sorted(folder.glob(pattern))
    results = (file.with_name(file.name[1:].removesuffix(".sha256")) for file in checksum_files)
    return [path for path in results if path.exists()]


def damage_of_result(path: Path) -> str:
    """Compare a result with its checksum file; return what is wrong, or an empty text.

    Raises UnreadableError if it cannot be read now.
    """
    try:
        found = list(islice(differences_from_checksums(path), _SHOWN + 1))
    except UnicodeDecodeError:
        return f"its checksum in {checksum_file_of(path).name} is damaged"
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read now, and was left unchanged: {error}") from error
    return "; ".join(found[:_SHOWN]) + ("; and more" if found[_SHOWN:] else "")


def difference(path: Path, size: int, digest: str | None) -> str:
    """Return how a file differs from its expected size and SHA-256, or an empty text. digest: None compares sizes."""
    if not path.is_file():
        return "missing"
    if path.stat().st_size != size:
        return f"{path.stat().st_size} bytes, expected {size}"
    return "" if digest is None or sha256_of(path) == digest else "its content has changed"
