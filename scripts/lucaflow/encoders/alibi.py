"""Attention over concatenated sequences with linear biases (ALiBi): a key counts less, the farther it is from a query.

Letters in shapes: T tokens of all sequences, A attention heads, d head size, n tokens of a sequence, `count` sequences
of a run, B queries of a block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucaflow.encoders.arithmetic import arithmetic
from lucaflow.encoders.attention import UNIT_BYTES, within_offsets
from lucaflow.encoders.packing import by_run
from lucaflow.encoders.pass_plan import PassPlan

# Numbers of a block of biases that a GPU gets: 128 MiB in float32.
_NUMBERS_OF_A_BLOCK = 2**25
# On GPUs the rows of a bias must begin at a multiple of this.
_BIAS_ALIGNMENT = 16


def slopes_of(heads: int) -> list[float]:
    """Return how much each head takes off for one token of distance.

    >>> slopes_of(4)
    [0.25, 0.0625, 0.015625, 0.00390625]
    >>> slopes_of(3)
    [0.0625, 0.00390625, 0.25]
    """
    whole = 1 << (heads.bit_length() - 1)
    slopes = [2 ** (-8 * (head + 1) / whole) for head in range(whole)]
    between = [2 ** (-8 * (head + 1) / (2 * whole)) for head in range(0, 2 * whole, 2)]
    return [*slopes, *between[: heads - whole]]


def distances(heads: int, longest: int, device: torch.device) -> Tensor:
    """Return the biases (A, 2 * longest - 1), float32, of the distances from 1 - longest to longest - 1."""
    slopes = torch.tensor(slopes_of(heads), dtype=torch.float32, device=device)  # (A,)
    return -slopes[:, None] * torch.arange(1 - longest, longest, device=device, dtype=torch.float32).abs()


def biases_of_reversed(line: Tensor, length: int) -> Tensor:
    """Return the biases (A, n, n) of sequences of n tokens, for queries in reverse order, as a view of `line`.

    line: as `distances` returns it. Query i of the reverse order is token n - 1 - i, so that its row of biases begins
    one number after the row before it. The view needs no memory.
    """
    part = line[:, (line.shape[1] + 1) // 2 - length :]
    return part.as_strided((len(line), length, length), (line.stride(0), 1, 1), part.storage_offset())


class BiasedAttention(nn.Module):
    """Multi-head attention with linear biases. Head h has the consecutive channels h*d .. (h+1)*d-1."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv_proj = nn.Linear(size, 3 * size)
        self.out_proj = nn.Linear(size, size)

    def forward(
        self, x: Tensor, plan: PassPlan, line: Tensor, on_attention: Callable[[Tensor], None] | None = None
    ) -> Tensor:
        """Map (T, H) to (T, H). line: as `distances` returns it.

        Call `on_attention`, if given, with each run's probabilities (count, A, n, n).
        """
        projected = self.qkv_proj(x).view(len(x), 3 * self.heads, -1)  # (T, 3 A, d)
        tokens, heads, size = projected.shape
        mixed = projected.new_empty(tokens, heads // 3, size)  # (T, A, d)
        for part, output in zip(by_run(projected, plan.runs), by_run(mixed, plan.runs), strict=True):
            q, k, v = part.transpose(1, 2).chunk(3, dim=1)  # (count, A, n, d) each
            biases = biases_of_reversed(line, q.shape[2])  # (A, n, n)
            if on_attention is None:
                found = attend_biased(q, k, v, biases)
            else:
                found = attend_with_probabilities(q, k, v, biases.flip(1), on_attention)
            output.copy_(found.transpose(1, 2))
        return cast(Tensor, self.out_proj(mixed.flatten(1)))  # (T, H)


def attend_biased(q: Tensor, k: Tensor, v: Tensor, biases: Tensor, numbers: int = _NUMBERS_OF_A_BLOCK) -> Tensor:
    """Return softmax(q k' / sqrt(d) + bias) v. q, k and v are (count, A, n, d).

    biases: as `biases_of_reversed` returns them. The (n, n) probabilities are never stored, and on a processor neither
    are the biases. A GPU gets biases of `numbers` numbers at once, or of one query if these are more.
    """
    reverse = q.flip(2)
    if q.device.type == "cpu":
        return F.scaled_dot_product_attention(reverse, k, v, attn_mask=biases.expand(len(q), -1, -1, -1)).flip(2)
    return attend_in_blocks(reverse, k, v, biases, numbers).flip(2)


def attend_in_blocks(q: Tensor, k: Tensor, v: Tensor, biases: Tensor, numbers: int) -> Tensor:
    """Return the attention (count, A, n, d) of some queries after the others, with stored biases of each block.

    Biases have the type of the queries, which GPUs need, and heads are filled up with zeros to whole units.
    """
    size, unit = q.shape[-1], UNIT_BYTES // q.element_size()
    if size % unit:
        q, k, v = (F.pad(x, (0, -size % unit)) for x in (q, k, v))  # (count, A, n, d or more) each
    k, v = within_offsets(k), within_offsets(v)
    heads, _, length = biases.shape
    padded = -(-length // _BIAS_ALIGNMENT) * _BIAS_ALIGNMENT
    rows = max(1, numbers // (heads * padded))
    found = []
    for queries, part in zip(torch.split(q, rows, dim=2), torch.split(biases, rows, dim=1), strict=True):
        block = q.new_zeros(1, heads, part.shape[1], padded)[..., :length]  # (1, A, B, n)
        block.copy_(part)
        found.append(F.scaled_dot_product_attention(queries, k, v, attn_mask=block, scale=size**-0.5))
    return torch.cat(found, dim=2)[..., :size]


def attend_with_probabilities(
    q: Tensor, k: Tensor, v: Tensor, biases: Tensor, on_attention: Callable[[Tensor], None]
) -> Tensor:
    """Return the result of `attend_biased`, and call `on_attention` with the float32 probabilities (count, A, n, n).

    biases: (A, n, n), queries in their own order.
    """
    with arithmetic("float32"):
        scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5 + biases  # (count, A, n, n)
        probabilities = scores.softmax(dim=-1)  # (count, A, n, n)
        on_attention(probabilities)
        return probabilities.to(v.dtype) @ v  # (count, A, n, d)
