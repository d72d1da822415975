"""Checksums of files: of what was read, and of results, for which they are kept beside them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from lucaflow.errors import UnreadableError
from lucaflow.files.json_files import parse_json

_SHOWN = 3


def guard_of(path: Path) -> Path:
    """Return where the checksum of a result, or those of a folder's files, stand: a file for `sha256sum --check`."""
    return path.with_name(f".{path.name}.sha256")


def differences_from_guard(path: Path) -> Iterator[str]:
    """Yield how a guarded result differs from what was written. Files that were added to a folder are no difference."""
    damaged = f"its checksum in {guard_of(path).name} is damaged"
    with guard_of(path).open(encoding="utf-8", newline="\n") as lines:
        if not guard_of(path).stat().st_size:
            yield damaged
        for line in lines:
            digest, _, name = line.removesuffix("\n").partition("  ")
            file = path.parent / name
            if not name or not file.is_relative_to(path):
                yield damaged
            elif not file.is_file():
                yield f"{name} is missing"
            elif sha256_of(file) != digest:
                yield f"{name} is not what was written" if path.is_dir() else "not what was written"


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def describe(path: Path) -> dict[str, Any]:
    """Return a file's size in bytes and its digest."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def changed_files(report_path: Path) -> list[tuple[Path, str]]:
    """Compare the files that verified.json names with what they were; return those that differ, and how."""
    try:
        files = parse_json(report_path)["files"]
        expected = {
            Path(os.path.normpath(report_path.parent / name)): (entry["bytes"], entry["sha256"])
            for name, entry in files.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [(report_path, f"damaged ({error})")]
    return [(path, how) for path, (size, digest) in expected.items() if (how := difference(path, size, digest))]


def guarded_results(folder: Path, pattern: str) -> list[Path]:
    """Return what was written with a checksum beside it whose name fits a pattern, and is there."""
    guarded = (guard.with_name(guard.name[1:].removesuffix(".sha256")) for guard in sorted(folder.glob(pattern)))
    return [path for path in guarded if path.exists()]


def damage_of_result(path: Path) -> str:
    """Compare a result with the checksum beside it; say what is wrong, or nothing.

    Raises UnreadableError where it cannot be read now.
    """
    try:
        found = list(islice(differences_from_guard(path), _SHOWN + 1))
    except UnicodeDecodeError:
        return f"its checksum in {guard_of(path).name} is damaged"
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read now, and was left as it is: {error}") from error
    return "; ".join(found[:_SHOWN]) + ("; and more" if found[_SHOWN:] else "")


def difference(path: Path, size: int, digest: str) -> str:
    """Say how a file differs from what it should be; an empty text if it does not."""
    if not path.is_file():
        return "missing"
    if path.stat().st_size != size:
        return f"{path.stat().st_size} bytes, expected {size}"
    return "" if sha256_of(path) == digest else "its content is not what it was"
