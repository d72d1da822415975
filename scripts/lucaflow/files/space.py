"""Space on a disk: what is needed, what is left, and how it is said that a disk is full."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lucaflow.errors import SpaceError

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def human_bytes(size: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def require_space(
    folder: Path, needed: int, what: str, otherwise: str = "set checkpoints.directory to another disk"
) -> None:
    """Raise SpaceError if a disk has less than `needed` bytes left. otherwise: what to do but make room."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SpaceError(
            f"{what} needs {human_bytes(needed)}, but the disk of {folder.resolve()} has {human_bytes(free)} left. "
            f"Make room, or {otherwise}."
        )


def is_full_disk(error: Exception) -> bool:
    """Say whether an error means that a disk, or what one may use of it, is full, also in the words of HDF5."""
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return True
    return isinstance(error, (OSError, RuntimeError)) and any(f"errno = {code}," in str(error) for code in _FULL_DISK)


@contextmanager
def explaining_a_full_disk(folder: Path, consequence: str) -> Iterator[None]:
    """Turn the error of a full disk, or of a quota that is used up, into one that says what to do."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise SpaceError(
            f"{folder.resolve()}: the disk, or what you may use of it, is full ({error.strerror}). "
            f"{consequence}. Make room, or set checkpoints.directory to another disk; then run again."
        ) from error


def size_of(folder: Path) -> int:
    """Return the bytes that a folder's files take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
