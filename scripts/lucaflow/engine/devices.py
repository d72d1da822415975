"""The device that computes (processor or GPU), its precisions, and the batch size that fits its memory."""

from __future__ import annotations

import logging
import os
import resource
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from lucaflow.encoders.arithmetic import set_arithmetic
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.pass_plan import nvidia_capability, refuse_other_devices
from lucaflow.engine.cuda_support import (
    has_device_file,
    has_kernels,
    installed_driver,
    is_cuda_available,
    sign_of_a_gpu,
    why_unusable,
)
from lucaflow.errors import DeviceError

logger = logging.getLogger(__name__)

DTYPE_OF_PRECISION = {"float32": torch.float32, "tfloat32": torch.float32, "bfloat16": torch.bfloat16}
CPU_TOKENS_PER_BATCH = 2048
MOST_TOKENS_PER_BATCH = 65536
# Share of a GPU's free memory to use. The memory allocator leaves part of the rest unused between its blocks.
_SHARE_OF_MEMORY = 0.8
_MEASURED_LENGTH, _MEASURED_COUNTS = 512, (16, 4, 1)
# Messages of out-of-memory errors that torch raises as plain RuntimeError: from the processor's allocator and oneDNN
# (the packed products), and from CUDA's libraries.
_OUT_OF_MAIN_MEMORY_MESSAGES = (
    "DefaultCPUAllocator: can't allocate memory",
    "could not create a primitive",
    "could not execute a primitive",
)
_OUT_OF_GPU_MEMORY_MESSAGES = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
# The first one with TensorFloat32, and with attention in bfloat16 that stores no maps.
_CAPABILITY_OF_LOWER_PRECISIONS = (8, 0)
_ANOTHER_BUILD = (
    "docs/installation.md says which build of torch fits which driver and GPU. To compute on the processor, set "
    "compute.device to `cpu`."
)


def resolve_device(device: str, precision: str) -> torch.device:
    """Return the device that `device` (`auto`, `cpu` or `cuda`) means on this machine.

    Raises DeviceError if there is no GPU for `cuda`; if `auto` finds that this job has a GPU that torch cannot use; or
    if the device does not support the precision.
    """
    chosen = torch.device("cpu" if device == "cpu" or not _finds_gpu(device) else "cuda")
    require_precision(chosen, precision)
    return chosen


def _finds_gpu(device: str) -> bool:
    """Return whether torch can use a GPU. Raises DeviceError if it cannot and `device` (`auto` or `cuda`) needs it."""
    available, warning = is_cuda_available()
    if available:
        return True
    why = why_unusable(torch.__version__, torch.version.cuda, torch.version.hip, installed_driver(), warning)
    if device == "cuda":
        raise DeviceError(f"compute.device is `cuda`, but torch finds no usable GPU here: {why}. {_ANOTHER_BUILD}")
    sign = sign_of_a_gpu(os.environ, has_device_file(), torch.version.cuda is not None)
    if sign is None:
        if warning:
            logger.warning("torch says: %s", warning)
        return False
    raise DeviceError(
        f"compute.device is `auto`, and this job has a GPU ({sign}), but torch cannot use it: {why}. {_ANOTHER_BUILD}"
    )


def require_precision(device: torch.device, precision: str) -> None:
    """Raise DeviceError if a device does not support a precision, or if torch has no kernels for it."""
    refuse_other_devices(device)
    if device.type == "cuda":
        _require_kernels(device)
    if supports_precision(device, precision):
        return
    if device.type == "cpu":
        raise DeviceError("embedding.precision is `tfloat32`, which needs a GPU. Set it to `float32` or `bfloat16`.")
    reason = "has no TensorFloat32" if precision == "tfloat32" else "computes attention in it only by storing its maps"
    raise DeviceError(
        f"embedding.precision is `{precision}`, but {device_name(device)} {reason}. That needs a GPU of "
        "compute capability 8.0 or more. Set embedding.precision to `float32`, or compute.device to `cpu`."
    )


def _require_kernels(device: torch.device) -> None:
    """Raise DeviceError if this build of torch has no kernels for a GPU."""
    capability, architectures = torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()
    if not has_kernels(capability, architectures):
        raise DeviceError(
            f"{device_name(device)} has compute capability {capability[0]}.{capability[1]}, but torch "
            f"{torch.__version__}, built for CUDA {torch.version.cuda}, has kernels for {', '.join(architectures)} "
            f"only. {_ANOTHER_BUILD}"
        )


def supports_precision(device: torch.device, precision: str) -> bool:
    """Return whether a device supports a precision."""
    return supports(precision, nvidia_capability(device))


def supports(precision: str, capability: tuple[int, int] | None) -> bool:
    """Return whether a device supports a precision. capability: of one of NVIDIA's GPUs, None for a processor.

    Older GPUs would compute TensorFloat32 in float32.
    """
    if capability is None:
        return precision != "tfloat32"
    return precision == "float32" or capability >= _CAPABILITY_OF_LOWER_PRECISIONS


def device_name(device: torch.device) -> str:
    """Return the name of a device, as results record it."""
    return "cpu" if device.type == "cpu" else f"cuda: {torch.cuda.get_device_name(device)}"


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one: torch chooses kernels by the properties of the current GPU of each thread."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def peak_memory(device: torch.device) -> int:
    """Return the peak memory so far, in bytes: of the GPU, or of this process for a processor."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, getrusage may give the peak of the process that started this one.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def set_matmul_precision(precision: str) -> None:
    """Set the arithmetic of matrix products in this process (`encoders.arithmetic.set_arithmetic`)."""
    set_arithmetic(precision)


@torch.inference_mode()
def bytes_per_token(encoder: Encoder, device: torch.device) -> int | None:
    """Measure the bytes per token of a batch on a GPU, without the weights; return None on a processor.

    Made-up sequences are used. Memory grows with the tokens, but that of the feed-forward layer stops growing at a
    certain number. So the result is an upper bound for larger batches.
    """
    if device.type == "cpu":
        return None
    longest = encoder.config.longest_sequence
    length = _MEASURED_LENGTH if longest is None else min(_MEASURED_LENGTH, longest)
    for count in _MEASURED_COUNTS:
        try:
            with on_device(device):
                return -(-_peak_of_a_pass(encoder, device, [length] * count) // (count * length))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # Here the error is gone, and with it what it kept on the GPU.
        torch.cuda.empty_cache()
    raise DeviceError(
        f"{device_name(device)} has not enough memory for the weights and {length} tokens. Use a GPU with more memory "
        "or one that nothing else uses, or set compute.device to `cpu`."
    )


def _peak_of_a_pass(encoder: Encoder, device: torch.device, lengths: Sequence[int]) -> int:
    """Return the peak memory in bytes, without the weights, of a pass over sequences of these lengths in tokens."""
    ids = torch.arange(sum(lengths), device=device) % len(encoder.vocabulary)
    # The first pass allocates memory that stays, such as workspaces of matrix products. The second one is measured.
    for _ in range(2):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        encoder(ids, torch.zeros_like(ids), lengths)
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def token_budget(requested: int | str, device: torch.device, measured: int | None) -> int:
    """Return how many tokens go through the network at once; `auto` uses a GPU's free memory.

    measured: bytes per token on a GPU, None on a processor. There is an upper limit, MOST_TOKENS_PER_BATCH: more tokens
    would not be faster.
    """
    if requested != "auto":
        return int(requested)
    if measured is None:
        return CPU_TOKENS_PER_BATCH
    free, _ = free_memory(device)
    return max(1, min(MOST_TOKENS_PER_BATCH, int(_SHARE_OF_MEMORY * free) // measured))


def free_memory(device: torch.device) -> tuple[int, int]:
    """Return the free and the total memory of a GPU in bytes. What torch has reserved but does not use is free."""
    free, total = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device), total


def lacks_main_memory(error: Exception) -> bool:
    """Return whether an error means that main memory was too small, and not that of a GPU."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _OUT_OF_MAIN_MEMORY_MESSAGES)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory was too small for a batch."""
    return (
        isinstance(error, torch.OutOfMemoryError)
        or lacks_main_memory(error)
        or any(sign in str(error) for sign in _OUT_OF_GPU_MEMORY_MESSAGES)
    )
