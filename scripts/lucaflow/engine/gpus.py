"""Choose a GPU that no other job uses."""

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

    The GPU is locked until this process ends. A processor is returned as it is, without a lock.
    """
    if device.type == "cpu":
        return device
    names = _visible_gpus()
    index = lock_first_free(names, _LOCK_FOLDER / f"lucaflow-gpus-{os.getuid()}")
    torch.cuda.set_device(index)
    logger.info("using GPU %d of %d", index, len(names))
    return torch.device("cuda", index)


def _visible_gpus() -> list[str]:
    """Return names of the visible GPUs that are the same for every job on this machine."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if visible.startswith("MIG-"):
        # A part of a GPU: a process sees only one, and torch may name the whole GPU.
        return [visible.partition(",")[0].replace("/", "-")]
    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
