"""From the rows of a sequence to one vector: the poolings of LucaOneTasks.

Each maps sequences of equal length (count, n, D) to (count, D). There is no mask, since there is no padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn


def _square(size: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(size, size))


class Attentive(nn.Module):
    """Softmax over positions of tanh(w (P x + b))."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear_proj = nn.Linear(size, size)
        self.weight = nn.Linear(size, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return _weighted(torch.tanh(self.weight(self.linear_proj(x))), x)


class ContextAttention(nn.Module):
    """Softmax over positions of tanh(x U + x V) c."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.U, self.V = _square(size), _square(size)
        self.c = nn.Parameter(torch.empty(size))

    def forward(self, x: Tensor) -> Tensor:
        return _weighted((torch.tanh(x @ (self.U + self.V)) @ self.c)[..., None], x)


class WeightedAttention(nn.Module):
    """Softmax over positions of x W."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(size))

    def forward(self, x: Tensor) -> Tensor:
        return _weighted((x @ self.W)[..., None], x)


class ValueAttention(nn.Module):
    """Softmax over positions, for each channel by itself, of tanh(x U + x V) W."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.U, self.V, self.W = _square(size), _square(size), _square(size)

    def forward(self, x: Tensor) -> Tensor:
        return _weighted(torch.tanh(x @ (self.U + self.V)) @ self.W, x)


def _weighted(scores: Tensor, x: Tensor) -> Tensor:
    """Return the mean of x (count, n, D) by the softmax of scores (count, n, 1 or D) over positions."""
    return (scores.softmax(1) * x).sum(1)


class Plain(nn.Module):
    """A pooling without parameters."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


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
