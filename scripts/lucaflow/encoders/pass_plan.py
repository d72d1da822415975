"""What all layers of one pass over concatenated sequences share: positions, rotary angles, and how attention runs.

Letters in shapes: T tokens of all sequences, B sequences, d head size.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lucaflow.encoders.packing import runs_of
from lucaflow.errors import DeviceError

# Attention kernels that store no attention map. Kernels that store one are not allowed as a fallback.
ATTENTION_KERNELS = {
    "cpu": [SDPBackend.FLASH_ATTENTION],
    "cuda": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION],
}
# Rows that go through the feed-forward layer at once. That layer is four times as wide as the others. On a processor
# the rows should fit near its caches; on a GPU they should keep it busy, and leave memory for the rest.
ROWS_AT_ONCE = {"cpu": 1024, "cuda": 8192}
_ROWS_OF_A_LARGE_GPU = 32768
_BYTES_OF_A_LARGE_GPU = 38_000_000_000
LARGEST_FLASH_HEAD = 256
# The attention kernel for sequences of different lengths: the oldest GPUs that have it, a divisor of its head sizes,
# and the runs from which on it is used. With fewer runs the GPU is busy anyway, and loading it takes seconds.
_CAPABILITY_OF_ONE_CALL = (8, 0)
_DIVISOR_OF_HEADS = 8
_FEWEST_RUNS = 16

# When several threads make the first call of one of these functions together, the result may have four correct digits
# instead of seven, because of how MKL chooses a kernel (https://github.com/pytorch/pytorch/issues/188792). So each
# function is first called here with a single number, which uses a single thread.
for _function in (torch.cos, torch.sin, torch.tanh):
    _function(torch.zeros(1))


class PassPlan:
    """How one pass runs: the runs of its sequences, and what is made once for all layers.

    runs: of the sequences; longest: tokens of the longest one; rows_at_once: of the feed-forward layer; positions: (T,)
    of tokens in their sequences; bounds: (B + 1,) int32, the first token of each sequence and the end, where one call
    of the attention kernel serves all sequences of a layer; None where each run has its own call.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device, arithmetic: torch.dtype, head_size: int) -> None:
        refuse_other_devices(device)
        self.runs = runs_of(lengths)
        self.device = device
        self.longest = max(lengths)
        on_cuda = device.type == "cuda"
        memory = torch.cuda.get_device_properties(device).total_memory if on_cuda else 0
        self.rows_at_once = feed_forward_rows(device.type, memory)
        at_once = attends_at_once(nvidia_capability(device), arithmetic, head_size, len(self.runs)) and has_one_call()
        self.bounds = to_device(torch.tensor([0, *accumulate(lengths)], dtype=torch.int32), device) if at_once else None
        positions = [torch.arange(run.length).repeat(run.count) for run in self.runs]  # (count n,) each
        self.positions = to_device(torch.cat(positions), device)  # (T,)
        self._angles: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def angles(self, inv_freq: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cosine and sine of position * inv_freq, each (T, 1, d / 2), in float32.

        They are computed once for all layers that share the tensor inv_freq (d / 2,).
        """
        if id(inv_freq) not in self._angles:
            cos, sin = rotary_angles(self.longest, inv_freq)  # (longest n, d / 2) each
            # The tensor is kept, so that its id stays its own.
            self._angles[id(inv_freq)] = inv_freq, cos[self.positions][:, None], sin[self.positions][:, None]
        return self._angles[id(inv_freq)][1:]

    @contextmanager
    def attention_kernels(self) -> Iterator[None]:
        """Allow only attention kernels that store no attention map."""
        with sdpa_kernel(ATTENTION_KERNELS[self.device.type]):
            yield


def rotary_angles(length: int, inv_freq: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosine and sine of position * inv_freq, each (length, d / 2), in float32."""
    positions = torch.arange(length, device=inv_freq.device, dtype=torch.float32)  # (length,)
    angles = torch.outer(positions, inv_freq.float())  # (length, d / 2)
    return angles.cos(), angles.sin()


def refuse_other_devices(device: torch.device) -> None:
    """Raise DeviceError for a device that is neither a processor nor one of NVIDIA's GPUs."""
    if device.type not in ATTENTION_KERNELS:
        raise DeviceError(
            f"the device is `{device}`, expected `cpu`, `cuda`, or one of several GPUs, such as `cuda:1`. LucaFlow "
            "computes on processors and on NVIDIA's GPUs. Use `cpu`."
        )
    if device.type == "cuda" and torch.version.hip:
        raise DeviceError(
            f"the device is `{device}`, and torch {torch.__version__} is built for AMD's GPUs (ROCm "
            f"{torch.version.hip}). LucaFlow computes on processors and on NVIDIA's GPUs. Use `cpu`."
        )


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the processor on `device`. A GPU copies it while this thread goes on."""
    return values if device.type == "cpu" else values.pin_memory().to(device, non_blocking=True)


def nvidia_capability(device: torch.device) -> tuple[int, int] | None:
    """Return the compute capability of one of NVIDIA's GPUs, None for a processor."""
    return None if device.type == "cpu" else torch.cuda.get_device_capability(device)


def attends_at_once(capability: tuple[int, int] | None, arithmetic: torch.dtype, head_size: int, runs: int) -> bool:
    """Return whether one call of an attention kernel serves all sequences of a layer, instead of one call for each run.

    capability: of one of NVIDIA's GPUs, None for a processor. That kernel computes in bfloat16 only.
    """
    return (
        capability is not None
        and capability >= _CAPABILITY_OF_ONE_CALL
        and arithmetic == torch.bfloat16
        and head_size <= LARGEST_FLASH_HEAD
        and head_size % _DIVISOR_OF_HEADS == 0
        and runs >= _FEWEST_RUNS
    )


@cache
def has_one_call() -> bool:
    """Return whether this torch has that kernel, and lets a caller fix the number of parts of the keys."""
    try:
        from torch.nn.attention.varlen import varlen_attn  # takes time to import
    except ImportError:
        return False
    return "num_splits" in inspect.signature(varlen_attn).parameters


def feed_forward_rows(device_type: str, memory: int) -> int:
    """Return the rows that go through the feed-forward layer at once. memory: of a GPU, in bytes."""
    large = device_type == "cuda" and memory >= _BYTES_OF_A_LARGE_GPU
    return _ROWS_OF_A_LARGE_GPU if large else ROWS_AT_ONCE[device_type]
