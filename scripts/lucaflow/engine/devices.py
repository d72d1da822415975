"""The device that computes (processor or GPU), its precisions, and the batch size that fits its memory."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from lucaflow.encoders.lucaone import Encoder
from lucaflow.encoders.vocabulary import VOCABULARY
from lucaflow.errors import DeviceError

DTYPE_OF_PRECISION = {"float32": torch.float32, "tfloat32": torch.float32, "bfloat16": torch.bfloat16}
CPU_TOKENS_PER_BATCH = 2048
MOST_TOKENS_PER_BATCH = 65536
# Share of a GPU's free memory to use. The memory allocator leaves part of the rest unused between its blocks.
_SHARE_OF_MEMORY = 0.8
_MEASURED_LENGTH, _MEASURED_COUNTS = 512, (16, 4, 1)
# Messages of out-of-memory errors that torch raises as plain RuntimeError: from the processor's allocator, oneDNN (the
# packed products), the allocator of pinned memory, and cuBLAS.
_OUT_OF_MEMORY_MESSAGES = (
    "DefaultCPUAllocator: can't allocate memory",
    "could not create a primitive",
    "could not execute a primitive",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def resolve_device(device: str, precision: str) -> torch.device:
    """Return the device that `device` (`auto`, `cpu` or `cuda`) means on this machine.

    Raises DeviceError if there is no GPU for `cuda`, or if the device does not support the precision.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "compute.device is `cuda`, but torch finds no usable GPU here. Run on a machine with a GPU, "
            "install a torch build for it, or set compute.device to `cpu` or `auto`."
        )
    chosen = torch.device("cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu")
    require_precision(chosen, precision)
    return chosen


def require_precision(device: torch.device, precision: str) -> None:
    """Raise DeviceError if a device does not support a precision."""
    if precision == "tfloat32" and not supports_precision(device, precision):
        raise DeviceError("embedding.precision is `tfloat32`, which needs a GPU. Set it to `float32` or `bfloat16`.")
    if not supports_precision(device, precision):
        raise DeviceError(
            f"embedding.precision is `{precision}`, but {device_name(device)} cannot compute attention in it without "
            "storing attention maps. That needs a GPU of compute capability 8.0 or more. Set embedding.precision to "
            "`float32`, or compute.device to `cpu`."
        )


def supports_precision(device: torch.device, precision: str) -> bool:
    """Return whether a device supports a precision."""
    if device.type == "cpu":
        return precision != "tfloat32"
    return precision != "bfloat16" or torch.cuda.get_device_capability(device) >= (8, 0)


def device_name(device: torch.device) -> str:
    """Return the name of a device, as results record it."""
    return "cpu" if device.type == "cpu" else f"cuda: {torch.cuda.get_device_name(device)}"


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
    """Make matrix products of float32 exact to float32, also on GPUs; `tfloat32` allows TensorFloat32."""
    torch.set_float32_matmul_precision("high" if precision == "tfloat32" else "highest")


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
            return -(-_peak_of_a_pass(encoder, device, [length] * count) // (count * length))
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    raise DeviceError(
        f"{device_name(device)} has not enough memory for the weights and {length} tokens. Use a GPU with more memory "
        "or one that nothing else uses, or set compute.device to `cpu`."
    )


def _peak_of_a_pass(encoder: Encoder, device: torch.device, lengths: Sequence[int]) -> int:
    """Return the peak memory in bytes, without the weights, of a pass over sequences of these lengths in tokens."""
    ids = torch.arange(sum(lengths), device=device) % len(VOCABULARY)
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
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(MOST_TOKENS_PER_BATCH, int(_SHARE_OF_MEMORY * free) // measured))


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory was too small for a batch."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        sign in str(error) for sign in _OUT_OF_MEMORY_MESSAGES
    )
