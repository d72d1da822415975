"""Which versions, which card, and which machine?"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import h5py
import numpy
import stand_ins
import torch
from cases import ROOT

from lucaflow import __version__

_QUERIED = "name,driver_version,memory.total,clocks.max.sm,power.limit,ecc.mode.current"


def output_of(*command: str) -> str:
    """Return the output of a program, or why there is none."""
    if not shutil.which(command[0]):
        return f"there is no {command[0]}"
    run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=ROOT)
    return "; ".join((run.stdout or run.stderr).strip().splitlines())


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def versions(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the versions of all that the numbers and the speed depend on."""
    yield "LucaFlow", f"{__version__}, {output_of('git', 'describe', '--always', '--dirty', '--long')}", True
    yield "Python, torch, h5py, numpy", ", ".join(
        (platform.python_version(), torch.__version__, h5py.__version__, numpy.__version__)
    ), True  # fmt: skip
    others = ("safetensors", "tqdm", "biopython", "pandas", "pyyaml", "pytest", "triton")
    yield "other packages", ", ".join(f"{name} {version_of(name)}" for name in others), True
    yield "replaced or not used here", ", ".join(name for name in replaced()) or "none", True
    yield "system", f"{platform.platform()}, {os.cpu_count()} cores, {processor()}", True
    yield "C compiler", output_of(os.environ.get("CC", "cc"), "-dumpfullversion"), True
    yield "device", name_of(device), True
    if device.type == "cuda":
        yield "nvidia-smi", output_of("nvidia-smi", f"--query-gpu={_QUERIED}", "--format=csv,noheader"), True
        capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
        built = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        yield "torch is built for", f"{built}, {' '.join(torch.cuda.get_arch_list())}; this card: {capability}", True
    threads = f"{torch.get_num_threads()} threads, float32 products: {torch.get_float32_matmul_precision()}"
    yield "torch starts with", threads, True


def replaced() -> list[str]:
    """Return the packages that stand_ins.py replaced in this process."""
    names = (*stand_ins.USED, *stand_ins.NOT_USED)
    return [name for name in names if getattr(importlib.import_module(name), "IS_STAND_IN", False)]


def name_of(device: torch.device) -> str:
    if device.type == "cpu":
        return "processor: no GPU here, so small forms of the parts"
    properties = torch.cuda.get_device_properties(device)
    count = torch.cuda.device_count()
    memory = properties.total_memory / 2**30
    return f"{count} x {properties.name}, {memory:.0f} GiB, {properties.multi_processor_count} SMs"


def processor() -> str:
    """Return the processor's name and the machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{platform.processor() or platform.machine()}, {memory:.0f} GiB"
