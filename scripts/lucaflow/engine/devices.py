"""What computes: the processor or a GPU, in which arithmetic, and how much fits its memory."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from lucaflow.encoders.lucaone import Encoder
from lucaflow.encoders.vocabulary import VOCABULARY
from lucaflow.errors import DeviceError

ARITHMETIC = {"float32": torch.float32, "tfloat32": torch.float32, "bfloat16": torch.bfloat16}
CPU_TOKENS_PER_BATCH = 2048
MOST_TOKENS_PER_BATCH = 65536
# Of a GPU's free memory; the rest is for what the memory allocator leaves unused between the pieces.
_SHARE_OF_MEMORY = 0.8
_MEASURED_LENGTH, _MEASURED_COUNTS = 512, (16, 4, 1)
# What torch and the libraries under it say where memory ends without an error of its own kind: the processor's
# allocator, oneDNN (the packed products), the allocator of pinned memory, and cuBLAS.
_SIGNS_OF_LACK = (
    "DefaultCPUAllocator: can't allocate memory",
    "could not create a primitive",
    "could not execute a primitive",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def resolve_device(device: str, precision: str) -> torch.device:
    """Return the device that `device` means here. Raises DeviceError for what this machine cannot do."""
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "compute.device is `cuda`, but torch finds no usable GPU here. Run where there is one, "
            "install a torch build for it, or set compute.device to `cpu` or `auto`."
        )
    chosen = torch.device("cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu")
    require_precision(chosen, precision)
    return chosen


def require_precision(device: torch.device, precision: str) -> None:
    """Raise DeviceError if a device does not compute in a precision."""
    if precision == "tfloat32" and not has_precision(device, precision):
        raise DeviceError("embedding.precision is `tfloat32`, which needs a GPU. Set it to `float32` or `bfloat16`.")
    if not has_precision(device, precision):
        raise DeviceError(
            f"embedding.precision is `{precision}`, but {device_name(device)} has no attention without maps in it: "
            "it takes a GPU of compute capability 8.0 or more. Set it to `float32`, or compute.device to `cpu`."
        )


def has_precision(device: torch.device, precision: str) -> bool:
    """Say whether a device computes in a precision."""
    if device.type == "cpu":
        return precision != "tfloat32"
    return precision != "bfloat16" or torch.cuda.get_device_capability(device) >= (8, 0)


def device_name(device: torch.device) -> str:
    """Return what a device is called, as it is recorded."""
    return "cpu" if device.type == "cpu" else f"cuda: {torch.cuda.get_device_name(device)}"


def peak_memory(device: torch.device) -> int:
    """Return the most memory in bytes that was in use so far: the GPU's, else this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        # Linux; what getrusage says there may be the peak of the process that started this one.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def set_arithmetic(precision: str) -> None:
    """Make float32 products what their name says, on GPUs too, or TensorFloat32 where that was asked for."""
    torch.set_float32_matmul_precision("high" if precision == "tfloat32" else "highest")


@torch.inference_mode()
def bytes_per_token(encoder: Encoder, device: torch.device) -> int | None:
    """Measure what a token of a batch takes on a GPU, besides the weights, with made-up sequences; None on a processor.

    What is measured grows with the tokens, and in the feed-forward layer no more from a certain number on: for larger
    batches it is an upper bound.
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
        f"{device_name(device)} has no memory for {length} tokens besides the weights. Use a GPU with more memory, one "
        "that nothing else uses, or set compute.device to `cpu`."
    )


def _peak_of_a_pass(encoder: Encoder, device: torch.device, lengths: Sequence[int]) -> int:
    """Return the bytes that a pass over so many tokens takes at its peak."""
    ids = torch.arange(sum(lengths), device=device) % len(VOCABULARY)
    # The first pass brings what stays, such as workspaces of matrix products.
    for _ in range(2):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        encoder(ids, torch.zeros_like(ids), lengths)
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def token_budget(requested: int | str, device: torch.device, measured: int | None) -> int:
    """Return how many tokens go through the network at once; `auto`: as many as a GPU's free memory holds.

    measured: bytes per token on a GPU. Where memory does not bound it, more tokens would make nothing faster.
    """
    if requested != "auto":
        return int(requested)
    if measured is None:
        return CPU_TOKENS_PER_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(MOST_TOKENS_PER_BATCH, int(_SHARE_OF_MEMORY * free) // measured))


def is_lack_of_memory(error: Exception) -> bool:
    """Say whether an error means that there was no memory for a batch."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        sign in str(error) for sign in _SIGNS_OF_LACK
    )
