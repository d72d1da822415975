"""Which numbers are dropped in training?

A mask is made for the numbers that it is applied to: 0 for those that are dropped, 1 / (1 - p) for the others.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

_FACTOR = 0x45D9F3B
_HALF, _LOWER = 16, 0xFFFF


class Dropout(Protocol):
    """The factors for the numbers of a pass, in the order of its layers."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return x, of any shape, with some of its numbers dropped."""
        ...


def no_dropout(x: Tensor) -> Tensor:
    """Return x as it is: dropout of an evaluation, and of p = 0."""
    return x


class SequentialDropout:
    """The masks that torch draws one after the other from a generator, as LucaOneTasks does."""

    def __init__(self, p: float, generator: torch.Generator) -> None:
        self.p = p
        self.generator = generator

    def __call__(self, x: Tensor) -> Tensor:
        mask = torch.empty(x.shape, dtype=x.dtype).bernoulli_(1 - self.p, generator=self.generator)
        return x * mask.div_(1 - self.p).to(x.device)


class KeyedDropout:
    """Masks that depend on a seed, the step and the place in the network alone: not on what was drawn before.

    They are computed from the positions of the numbers, so that they are the same on every machine and device.
    """

    def __init__(self, p: float, seed: int, step: int) -> None:
        self.p = p
        self.key = seed, step
        self.place = 0

    def __call__(self, x: Tensor) -> Tensor:
        first, second = np.frombuffer(hashlib.sha256(repr((*self.key, self.place)).encode()).digest()[:8], "<i4")
        self.place += 1
        words = torch.arange(x.numel(), device=x.device).int().bitwise_xor_(int(first))
        scramble_(scramble_(words).bitwise_xor_(int(second)))
        # Of all words, from -2^31 on, those below this limit are a share of p.
        kept = words.bitwise_xor_(words >> _HALF & _LOWER) >= int(self.p * 2**32) - 2**31
        return x * kept.view(x.shape).to(x.dtype).div_(1 - self.p)


def scramble_(words: Tensor) -> Tensor:
    """Replace words (int32) by others, in place, so that those of neighbours have little in common.

    Source: a round of the integer hash `x = ((x >> 16) ^ x) * 0x45d9f3b` (T. Mueller,
    https://stackoverflow.com/a/12996028). Products keep their lower 32 bits.
    """
    return words.bitwise_xor_(words >> _HALF & _LOWER).mul_(_FACTOR)
