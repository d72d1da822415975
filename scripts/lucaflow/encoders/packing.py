"""Concatenated sequences without padding, and their division into runs.

A run is neighbouring sequences of equal length, which go through attention together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor


@dataclass(frozen=True)
class Run:
    """`count` neighbouring sequences of `length` tokens each."""

    count: int
    length: int


def runs_of(lengths: Sequence[int]) -> list[Run]:
    """Return the runs of concatenated sequences, from their lengths in tokens."""
    return [Run(len(list(group)), length) for length, group in groupby(lengths)]


def by_run(x: Tensor, runs: Sequence[Run]) -> list[Tensor]:
    """Return a view (count, n, ...) of each run in x (T, ...)."""
    parts = torch.split(x, [run.count * run.length for run in runs])  # (count n, ...) each
    return [part.view(run.count, run.length, *x.shape[1:]) for part, run in zip(parts, runs, strict=True)]
