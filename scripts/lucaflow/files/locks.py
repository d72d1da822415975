"""File locks: only one process at a time does a piece of work, and the others are told which process that is."""

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

_LOCKS_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_NO_TIMEOUT = -1.0


@contextmanager
def locked(path: Path, activity: str, *, required: bool = True, timeout: float = _NO_TIMEOUT) -> Iterator[None]:
    """Hold the lock at `path`, which ends with the process; the file names the process and the start time.

    While another process holds the lock, log who does and wait for up to `timeout` seconds. activity: for messages,
    such as "fetching a". Some file systems have no locks. There, if the lock is `required`, a second file is used as a
    lock; it may outlive a machine that is lost. Otherwise there is no lock at all. Raises LockError after the timeout;
    PermissionError, or another OSError, where the folder cannot be written.
    """
    mode = 0o666 & ~current_umask()
    lock: BaseFileLock = FileLock(path, mode=mode, fallback_to_soft=False)
    try:
        _acquire(lock, path, activity, timeout)
    except OSError as error:
        if error.errno not in _LOCKS_UNSUPPORTED:
            raise
        logger.warning("The file system of %s has no locks: start no second run there while this one is %s.",
                       path.parent, activity)  # fmt: skip
        if not required:
            yield
            return
        # Not `path` itself: the attempt above created it, and a soft lock counts as held while its file exists.
        marker = path.with_name(f"{path.name}.held")
        lock = SoftFileLock(marker, mode=mode)
        _acquire(lock, marker, activity, timeout)
    try:
        if not isinstance(lock, SoftFileLock):
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            path.write_text(f"process {os.getpid()} on {platform.node()}, since {now}\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def is_free(path: Path) -> bool:
    """Return whether no process holds the lock at `path`, as far as the file system can tell."""
    try:
        with FileLock(path, fallback_to_soft=False).acquire(timeout=0):
            return True
    except Timeout:
        return False
    except OSError as error:
        if error.errno not in _LOCKS_UNSUPPORTED:
            raise
        return True


def _acquire(lock: BaseFileLock, path: Path, activity: str, timeout: float) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        held = f"{path} ({_holder(lock, path)})"
        logger.warning("Another run is %s and holds %s; waiting for it to finish.", activity, held)
    else:
        return
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise LockError(
            f"Another run has been {activity} for more than {timeout / 60:.0f} minutes; it holds {held}. Run again "
            "when it has finished, or end that process first: its results will be reused."
        ) from None


def _holder(lock: BaseFileLock, path: Path) -> str:
    """Return what a lock file says about the process that holds it."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not isinstance(lock, SoftFileLock):
        return lines[0]
    # filelock writes the process number, the machine and the start time, one a line.
    return f"process {lines[0]} on {' '.join(lines[1:2])}; if that process has ended, delete the file"
