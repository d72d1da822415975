"""From the rows of a sequence to one vector: the poolings of LucaOneTasks.

Each maps the rows (T, D) of sequences, one after another, to a vector (B, D) of each. There is no mask, since there is
no padding. runs: neighbours of equal length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from lucaflow.encoders.packing import Run, by_run


def _square(size: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(size, size))


class Weighted(nn.Module):
    """The mean of rows by the softmax, over a sequence's positions, of scores that subclasses give."""

    def scores(self, x: Tensor) -> Tensor:
        """Return the scores (T, 1 or D) of rows (T, D)."""
        raise NotImplementedError

    def forward(self, x: Tensor, runs: Sequence[Run]) -> Tensor:
        both = zip(by_run(self.scores(x), runs), by_run(x, runs), strict=True)
        return torch.cat([(scores.softmax(1) * rows).sum(1) for scores, rows in both])


class Attentive(Weighted):
    """Scores tanh(w (P x + b)) of a position."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear_proj = nn.Linear(size, size)
        self.weight = nn.Linear(size, 1, bias=False)

    def scores(self, x: Tensor) -> Tensor:
        return torch.tanh(self.weight(self.linear_proj(x)))


class ContextAttention(Weighted):
    """Scores tanh(x U + x V) c of a position."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.U, self.V = _square(size), _square(size)
        self.c = nn.Parameter(torch.empty(size))

    def scores(self, x: Tensor) -> Tensor:
        return (torch.tanh(x @ (self.U + self.V)) @ self.c)[:, None]


class WeightedAttention(Weighted):
    """Scores x W of a position."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(size))

    def scores(self, x: Tensor) -> Tensor:
        return (x @ self.W)[:, None]


class ValueAttention(Weighted):
    """Scores tanh(x U + x V) W, for each channel by itself."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.U, self.V, self.W = _square(size), _square(size), _square(size)

    def scores(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ (self.U + self.V)) @ self.W


class Plain(nn.Module):
    """A pooling without parameters."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, runs: Sequence[Run]) -> Tensor:
        return torch.cat([self.function(rows) for rows in by_run(x, runs)])


_PLAIN: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "none": lambda x: x.mean(1),
    "avg": lambda x: x.mean(1),
    "max": lambda x: x.amax(1),
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


def pooler(name: str, size: int) -> nn.Module:
    """Return the pooling that LucaOneTasks calls `name`, of rows of `size` numbers. Raises ValueError."""
    if name in _PLAIN:
        return Plain(_PLAIN[name])
    if name not in _WITH_PARAMETERS:
        raise ValueError(f"matrix_pooling_type is {name!r}, expected one of {', '.join(POOLINGS)}")
    return _WITH_PARAMETERS[name](size)
