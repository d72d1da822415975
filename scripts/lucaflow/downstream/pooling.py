"""The poolings of LucaOneTasks: they turn the rows of a sequence into one vector.

Each maps the T rows (T, D) of B sequences, one after another, to their vectors (B, D). Without padding there is no
mask. Sequences of equal length that follow each other form a run: n sequences of L rows, (n, L, D).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from lucaflow.downstream.structure import EACH_ROW
from lucaflow.encoders.packing import Run, by_run


def _square(size: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(size, size))


class Weighted(nn.Module):
    """The mean of rows, weighted by the softmax of scores over the positions of a sequence."""

    def scores(self, x: Tensor) -> Tensor:
        """Return the scores (T, 1 or D) of rows (T, D). Subclasses define them."""
        raise NotImplementedError

    def forward(self, x: Tensor, runs: Sequence[Run]) -> Tensor:
        both = zip(by_run(self.scores(x), runs), by_run(x, runs), strict=True)  # (n, L, 1 or D) and (n, L, D) of a run
        return torch.cat([(scores.softmax(1) * rows).sum(1) for scores, rows in both])  # (n, L, D) -> (n, D) -> (B, D)


class Attentive(Weighted):
    """Scores tanh(w (P x + b)), one for each position."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear_proj = nn.Linear(size, size)
        self.weight = nn.Linear(size, 1, bias=False)

    def scores(self, x: Tensor) -> Tensor:
        return torch.tanh(self.weight(self.linear_proj(x)))  # (T, D) -> (T, D) -> (T, 1)


class ContextAttention(Weighted):
    """Scores tanh(x U + x V) c, one for each position."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.U, self.V = _square(size), _square(size)  # (D, D) each
        self.c = nn.Parameter(torch.empty(size))  # (D,)

    def scores(self, x: Tensor) -> Tensor:
        return (torch.tanh(x @ (self.U + self.V)) @ self.c)[:, None]  # (T, D) -> (T, D) -> (T,) -> (T, 1)


class WeightedAttention(Weighted):
    """Scores x W, one for each position."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(size))  # (D,)

    def scores(self, x: Tensor) -> Tensor:
        return (x @ self.W)[:, None]  # (T, D) -> (T,) -> (T, 1)


class ValueAttention(Weighted):
    """Scores tanh(x U + x V) W, one for each position and channel."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.U, self.V, self.W = _square(size), _square(size), _square(size)  # (D, D) each

    def scores(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ (self.U + self.V)) @ self.W  # (T, D) -> (T, D) -> (T, D)


class Plain(nn.Module):
    """A pooling without parameters."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, runs: Sequence[Run]) -> Tensor:
        return torch.cat([self.function(rows) for rows in by_run(x, runs)])  # (n, L, D) -> (n, D) -> (B, D)


def _largest(x: Tensor) -> Tensor:
    """Return the largest rows (n, D) of x (n, L, D).

    Of equal values, a single one gets the gradient, as in LucaOneTasks; `amax`, which is faster, divides it.
    """
    return x.max(1).values if x.requires_grad else x.amax(1)


# Each maps a run (n, L, D) to (n, D).
_PLAIN: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "none": lambda x: x.mean(1),
    "avg": lambda x: x.mean(1),
    "max": _largest,
    "sum": lambda x: x.sum(1),
    "first": lambda x: x[:, 0],
    "last": lambda x: x[:, -1],
}
_WITH_PARAMETERS: Final[dict[str, type[nn.Module]]] = {
    "attentive": Attentive,
    "attention": ContextAttention,
    "context_attention": ContextAttention,
    "weighted_attention": WeightedAttention,
    "value_attention": ValueAttention,
}
POOLINGS = (*_PLAIN, *_WITH_PARAMETERS)


def has_parameters(name: str) -> bool:
    """Return whether a pooling is trained."""
    return name in _WITH_PARAMETERS


def pooler(name: str, size: int) -> nn.Module:
    """Return the pooling that LucaOneTasks calls `name`, for rows (T, size). Raises ValueError for an unknown name.

    `EACH_ROW` keeps all rows: (T, D) stays (T, D).
    """
    if name == EACH_ROW:
        return Plain(lambda x: x.flatten(0, 1))
    if name in _PLAIN:
        return Plain(_PLAIN[name])
    if name not in _WITH_PARAMETERS:
        raise ValueError(f"matrix_pooling_type is {name!r}, expected one of {', '.join(POOLINGS)}")
    return _WITH_PARAMETERS[name](size)
