"""Which GPU does no other job of this user use?"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_CHECKS = 1.0
# A lock is released when nothing refers to it.
_held_locks: list[FileLock] = []


def lock_first_free(names: Sequence[str], folder: Path) -> int:
    """Lock the first free name until this process ends, by a file in `folder`; return its index in `names`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    waiting = False
    while True:
        for index, name in enumerate(names):
            lock = FileLock(folder / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            _held_locks.append(lock)
            return index
        if not waiting:
            logger.warning("%s in use by your other jobs here; waiting until one is free.", _gpus(len(names)))
            waiting = True
        time.sleep(_SECONDS_BETWEEN_CHECKS)


def _gpus(count: int) -> str:
    return "The GPU is" if count == 1 else f"All {count} GPUs are"
