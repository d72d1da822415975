"""Sequences one after another, without padding: neighbours of equal length, a run, go through attention together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor


@dataclass(frozen=True)
class Run:
    """Neighbouring sequences of equal length, in tokens."""

    count: int
    length: int


def runs_of(lengths: Sequence[int]) -> list[Run]:
    """Return the runs of sequences that lie one after another."""
    return [Run(len(list(group)), length) for length, group in groupby(lengths)]


def by_run(x: Tensor, runs: Sequence[Run]) -> list[Tensor]:
    """Return views (count, length, ...) of the runs in (T, ...)."""
    parts = torch.split(x, [run.count * run.length for run in runs])
    return [part.view(run.count, run.length, *x.shape[1:]) for part, run in zip(parts, runs, strict=True)]
