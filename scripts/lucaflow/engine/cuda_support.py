"""Can this build of torch use the GPU of a job? If not, why?"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

_DRIVER_FILE = Path("/proc/driver/nvidia/version")
# The oldest driver that each CUDA takes.
_OLDEST_DRIVERS = {11: 450, 12: 525, 13: 580}
# Values of CUDA_VISIBLE_DEVICES that hide all GPUs.
_HIDING = ("", "-1", "none", "void", "nodevfiles")
_SCHEDULED_GPUS = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS")


def has_kernels(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Return whether a build of torch has kernels for a GPU.

    architectures: of the build, as `torch.cuda.get_arch_list()` names them. `sm_86` runs on GPUs of the same first
    number and the same or a later second one, `compute_86` (PTX) on all later GPUs. A letter at the end restricts
    `sm_90a` to this GPU, `sm_100f` to its family. An empty list says nothing, so that True is returned.

    >>> has_kernels((8, 9), ["sm_75", "sm_86"]), has_kernels((7, 0), ["sm_75", "sm_86"])
    (True, False)
    """
    return not architectures or any(_runs_on(capability, name) for name in architectures)


def _runs_on(capability: tuple[int, int], architecture: str) -> bool:
    parts = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", architecture)
    if not parts:
        return False
    kind, *numbers, letter = parts.groups()
    built = int(numbers[0]), int(numbers[1])
    if letter == "a":
        return capability == built
    if kind == "sm" or letter == "f":
        return capability[0] == built[0] and capability >= built
    return capability >= built


def sign_of_a_gpu(environment: Mapping[str, str], has_device_file: bool, built_for_cuda: bool) -> str | None:
    """Return what says that this job was given one of NVIDIA's GPUs, for a message; None if nothing does.

    has_device_file: whether this machine has one. In a job of SLURM that says nothing, since other jobs may use that
    GPU; nor with a torch that was built for processors, which may be meant. Without a GPU on this machine
    CUDA_VISIBLE_DEVICES says nothing: the variable may come from another machine. If it hides all GPUs, the job has
    none, whatever else is there.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip().lower() in _HIDING:
        return None
    for name in (*_SCHEDULED_GPUS, *(["CUDA_VISIBLE_DEVICES"] if has_device_file else [])):
        if environment.get(name, "").strip():
            return f"{name} is {environment[name]}"
    found = has_device_file and built_for_cuda and "SLURM_JOB_ID" not in environment
    return "this machine has one" if found else None


def has_device_file(folder: Path = Path("/dev")) -> bool:
    """Return whether this machine has a device file of one of NVIDIA's GPUs."""
    return any(re.fullmatch(r"nvidia\d+", path.name) for path in folder.glob("nvidia*"))


def driver_version(text: str) -> str | None:
    """Return the version of NVIDIA's driver from the text of /proc/driver/nvidia/version.

    >>> driver_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024")
    '550.54.15'
    """
    found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", text)
    return found[0] if found else None


def installed_driver() -> str | None:
    """Return the version of NVIDIA's driver on this machine, None if there is none."""
    return driver_version(_DRIVER_FILE.read_text(errors="replace")) if _DRIVER_FILE.is_file() else None


def is_cuda_available() -> tuple[bool, str]:
    """Return whether torch can use a GPU, and torch's own warning about it, or an empty text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    return available, " ".join(str(warning.message).splitlines()[0] for warning in caught)


def why_unusable(version: str, cuda: str | None, hip: str | None, driver: str | None, warning: str = "") -> str:
    """Return why torch can use no GPU, for a message.

    version: of torch; cuda, hip: that it is built for; driver: of NVIDIA, on this machine; warning: torch's own.
    """
    if cuda is None:
        return f"torch {version} is built " + (f"for AMD's GPUs (ROCm {hip})" if hip else "without CUDA")
    built = f"torch {version} is built for CUDA {cuda}"
    if driver is None:
        return f"{built}, and there is no NVIDIA driver here"
    oldest = _OLDEST_DRIVERS.get(int(cuda.split(".")[0]))
    if oldest and int(driver.split(".")[0]) < oldest:
        return f"{built}, which needs NVIDIA's driver {oldest} or newer; the driver here is {driver}"
    return f"{built}, the driver here is {driver}" + (f", and torch says: {warning}" if warning else "")
