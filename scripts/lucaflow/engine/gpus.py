"""Choose a GPU that no other job uses, on a machine with several."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_CHECKS = 1.0
# A fixed folder, not TMPDIR: all jobs on this machine must use the same locks.
_LOCK_FOLDER = Path("/tmp")
# A lock is released when nothing refers to it.
_held_locks: list[FileLock] = []


def take_gpu(device: torch.device) -> torch.device:
    """Return a visible GPU that no other job of this user on this machine uses; wait until one is free.

    The GPU is locked until this process ends. A processor or a single visible GPU (as from a scheduler) is returned as
    it is, without a lock.
    """
    if device.type == "cpu" or torch.cuda.device_count() < 2:
        return device
    names = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    index = lock_first_free(names, _LOCK_FOLDER / f"lucaflow-gpus-{os.getuid()}")
    torch.cuda.set_device(index)
    logger.info("using GPU %d of %d", index, len(names))
    return torch.device("cuda", index)


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
            logger.warning("All %d GPUs are in use by your other jobs; waiting for one of them.", len(names))
            waiting = True
        time.sleep(_SECONDS_BETWEEN_CHECKS)
