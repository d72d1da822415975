"""Locks of files: one process works at a thing, and the others are told which."""

from __future__ import annotations

import datetime
import errno
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from lucaflow.errors import LockError
from lucaflow.files.writing import current_umask

logger = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_FOREVER = -1.0


@contextmanager
def locked(path: Path, what: str, *, always: bool = True, patience: float = _FOREVER) -> Iterator[None]:
    """Hold the lock at `path`, which goes with the process that holds it; the file says which that is, and since when.

    While another process holds it, that is said, and waited for, for `patience` seconds. what: what is being done.
    Where the file system has no such locks, a second file stands for one, which may outlive a machine that is lost;
    unless `always`, nothing does. Raises LockError if it is held for too long; PermissionError, or another OSError,
    where the folder cannot be written.
    """
    mode = 0o666 & ~current_umask()
    lock: BaseFileLock = FileLock(path, mode=mode, fallback_to_soft=False)
    try:
        _wait_for(lock, path, what, patience)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logger.warning("The file system of %s has no locks: start no second run there while this one is %s.",
                       path.parent, what)  # fmt: skip
        if not always:
            yield
            return
        # Not at `path`, which the attempt above made: to a soft lock a file that is there is one that is held.
        marker = path.with_name(f"{path.name}.held")
        lock = SoftFileLock(marker, mode=mode)
        _wait_for(lock, marker, what, patience)
    try:
        if not isinstance(lock, SoftFileLock):
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            path.write_text(f"process {os.getpid()} on {platform.node()}, since {now}\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def is_free(path: Path) -> bool:
    """Say whether no process holds the lock at `path`, as far as the file system can tell."""
    try:
        with FileLock(path, fallback_to_soft=False).acquire(timeout=0):
            return True
    except Timeout:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return True


def _wait_for(lock: BaseFileLock, path: Path, what: str, patience: float) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        held = f"{path} ({_holder(lock, path)})"
        logger.warning("Another run is %s. Waiting until it is done; it holds %s.", what, held)
    else:
        return
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise LockError(
            f"Another run has been {what} for more than {patience / 60:.0f} minutes; it holds {held}. Run again when "
            "it is done, or end that process first: what it has will be taken over."
        ) from None


def _holder(lock: BaseFileLock, path: Path) -> str:
    """Return what the file of a lock says of who holds it."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not isinstance(lock, SoftFileLock):
        return lines[0]
    # As filelock writes it: the process, its machine, and when that began.
    return f"process {lines[0]} on {' '.join(lines[1:2])}; if it runs no more, delete the file"
