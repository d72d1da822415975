"""What the checks of this folder share: errors and their limits, sequences, checkpoints, and the reason to skip one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import networks
import numpy as np
import torch
from random_checkpoint import write_checkpoint
from torch.nn.attention import SDPBackend

from lucaflow.engine.devices import set_matmul_precision, supports_precision
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sequences import NormalisedSequence

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
# Largest error that each precision may have, as a share of the largest value.
LIMITS = {"float32": 1e-5, "tfloat32": 5e-3, "bfloat16": 3e-2}
# As LucaOne's, its heads have 64 channels.
SMALL = networks.Shape("128 wide, 2 layers", 2, 128, 2)
# As the library's: those that store no attention map.
KERNELS = {
    "cpu": [SDPBackend.FLASH_ATTENTION],
    "cuda": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION],
}
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


class NotHere(Exception):
    """This machine lacks something that a check needs; the message says what."""


@dataclass(frozen=True)
class Check:
    """A check of a device. run: given the device and an empty folder, returns what it found, or raises."""

    name: str
    run: Callable[[torch.device, Path], str]


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in a precision, and in float32 afterwards. Raises NotHere if the device does not have it."""
    if not supports_precision(device, precision):
        raise NotHere("needs a GPU" if device.type == "cpu" else f"this GPU has no {precision}")
    set_matmul_precision(precision)
    try:
        yield
    finally:
        set_matmul_precision("float32")


def precisions_of(device: torch.device) -> list[str]:
    return [precision for precision in LIMITS if supports_precision(device, precision)]


def need_gpus(device: torch.device, count: int = 1) -> None:
    if device.type == "cpu" or torch.cuda.device_count() < count:
        raise NotHere("needs a GPU" if count == 1 else "needs two GPUs")


def error_of(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the largest difference between arrays, as a share of the largest expected value."""
    assert [array.shape for array in found] == [array.shape for array in expected]
    largest = max(np.abs(array).max() for array in expected)
    difference = max(np.abs(one - other).max() for one, other in zip(found, expected, strict=True))
    assert np.isfinite(difference), "values that are not finite"
    return float(difference / largest)


def within(error: float, limit: float, name: str = "error") -> str:
    """Return an error with its limit; raise AssertionError if it is larger."""
    said = f"{name} {error:.1e}, at most {limit:.0e}"
    assert error <= limit, said
    return said


def proteins(lengths: Sequence[int], seed: int = 0) -> list[NormalisedSequence]:
    """Return random proteins of these lengths."""
    draw = random.Random(seed)
    residues = ["".join(draw.choices(LETTERS, k=length)) for length in lengths]
    return [NormalisedSequence(digest_of("prot", text), "prot", text) for text in residues]


@cache
def checkpoint(parent: Path) -> Path:
    """Return a converted checkpoint of the small network, written into `parent` once."""
    return write_checkpoint(parent / "checkpoint", SMALL.config)
