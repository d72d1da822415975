"""Which GPU a job takes, where there are several: one that no other job has."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 1.0
# The machine's own, whatever TMPDIR is: all jobs must look in one place.
_PLACE = Path("/tmp")
# A lock ends when nothing refers to it.
_held: list[FileLock] = []


def take(device: torch.device) -> torch.device:
    """Return a GPU, of those that can be seen here, that no other job of this user on this machine works at.

    It is held until this process ends; waits until one is free. Where there is no choice (a processor, a single GPU,
    what a scheduler gave), it is taken.
    """
    if device.type == "cpu" or torch.cuda.device_count() < 2:
        return device
    names = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    index = hold_first_free(names, _PLACE / f"lucaflow-gpus-{os.getuid()}")
    torch.cuda.set_device(index)
    logger.info("taking GPU %d of %d", index, len(names))
    return torch.device("cuda", index)


def hold_first_free(names: Sequence[str], folder: Path) -> int:
    """Lock one of several things for as long as this process lives; return its place among `names`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    waiting = False
    while True:
        for index, name in enumerate(names):
            lock = FileLock(folder / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            _held.append(lock)
            return index
        if not waiting:
            logger.warning("All %d GPUs are taken by other jobs of yours. Waiting for one.", len(names))
            waiting = True
        time.sleep(_SECONDS_BETWEEN_LOOKS)
