"""Disk space: what a result needs, what is free, and what to say when a disk is full."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lucaflow.errors import SpaceError

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def human_bytes(size: float) -> str:
    """Return a number of bytes with a unit, such as 6.29 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def require_space(
    folder: Path, needed: int, what: str, alternative: str = "set checkpoints.directory to another disk"
) -> None:
    """Raise SpaceError if a disk has less than `needed` bytes free.

    what: needs the space; alternative: what the user can do instead of making room. Both are for the message.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SpaceError(
            f"{what} needs {human_bytes(needed)}, but the disk of {folder.resolve()} has {human_bytes(free)} left. "
            f"Make room, or {alternative}."
        )


def is_full_disk(error: Exception) -> bool:
    """Return whether an error means that a disk is full or a quota is used up. HDF5 says so only in its message."""
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return True
    return isinstance(error, (OSError, RuntimeError)) and any(f"errno = {code}," in str(error) for code in _FULL_DISK)


@contextmanager
def explaining_a_full_disk(folder: Path, consequence: str) -> Iterator[None]:
    """Turn the error of a full disk, or of a used-up quota, into a SpaceError that says what to do."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise SpaceError(
            f"{folder.resolve()}: the disk is full, or your quota is used up ({error.strerror}). "
            f"{consequence}. Make room, or set checkpoints.directory to another disk; then run again."
        ) from error


def size_of(folder: Path) -> int:
    """Return the bytes that a folder's files occupy on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
