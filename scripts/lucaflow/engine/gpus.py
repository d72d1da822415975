"""Choose a GPU that no other job uses, on a machine with several."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch

from lucaflow.engine.gpu_locks import lock_first_free

logger = logging.getLogger(__name__)

# A fixed folder, not TMPDIR: all jobs on this machine must use the same locks.
_LOCK_FOLDER = Path("/tmp")


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
