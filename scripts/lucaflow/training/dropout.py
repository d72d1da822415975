"""Which numbers are dropped in training?

A mask is made for the numbers that it is applied to: 0 for those that are dropped, 1 / (1 - p) for the others.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
# An odd factor below 2^27, so that products of it with 32 bits fit into 64.
_FACTOR = 0x45D9F3B


class Dropout(Protocol):
    """What is applied to the numbers of a pass, in the order of its layers."""

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
        digest = hashlib.sha256(repr((*self.key, self.place)).encode()).digest()
        self.place += 1
        words = torch.arange(x.numel(), device=x.device)
        for start in (0, 4):
            words = scrambled(words ^ int.from_bytes(digest[start : start + 4], "little"))
        kept = words >= int(self.p * (_WORD + 1))
        return x * kept.view(x.shape).to(x.dtype).div_(1 - self.p)


def scrambled(words: Tensor) -> Tensor:
    """Return other numbers of 32 bits, one for each of words (int64); those of neighbours have nothing in common.

    For tensors of up to 2^32 numbers. Source: the integer hash `x = ((x >> 16) ^ x) * 0x45d9f3b`, twice, then
    `(x >> 16) ^ x` (T. Mueller, https://stackoverflow.com/a/12996028).
    """
    words = words & _WORD
    for _ in range(2):
        words = ((words >> 16) ^ words) * _FACTOR & _WORD
    return (words >> 16) ^ words
