"""Attention over concatenated sequences with rotary positions. No attention map is kept.

Letters in shapes: T tokens of all sequences, H hidden size, A attention heads, d head size (H / A), n tokens of a
sequence, `count` sequences of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucaflow.encoders.arithmetic import arithmetic
from lucaflow.encoders.packing import Run, by_run
from lucaflow.encoders.pass_plan import LARGEST_FLASH_HEAD, PassPlan

# The kernel for float32 counts the distance of a key from the first one in numbers, in 32 bits.
LARGEST_KEY_OFFSET = 2**31 - 1
# Rows that a processor rotates at once.
_ROTATED_ROWS = 256
# On GPUs a head must fill whole units of this size.
UNIT_BYTES = 16


def rotate_(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotate x (T, m, d) in place, in the half-split form: (a, b) -> (a cos - b sin, b cos + a sin).

    cos and sin are (T, 1, d / 2), in float32. Sums are in float32, and rounded once to the type of x. A GPU rotates
    all rows at once and converts numbers on the way; a processor is faster with rows that its caches hold, and if it
    converts them first.
    """
    if x.device.type != "cpu":
        rotate_at_once_(x, cos, sin)
        return
    for part, *angles in zip(*(torch.split(values, _ROTATED_ROWS) for values in (x, cos, sin)), strict=True):
        exact = part.float()
        rotate_at_once_(exact, *angles)
        part.copy_(exact)


def rotate_at_once_(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Do what `rotate_` does, with all rows in five operations."""
    left, right = x.chunk(2, dim=-1)  # (T, m, d / 2) each
    rotated, b_cos = left * cos, right * cos  # (T, m, d / 2) each, float32
    rotated.addcmul_(right, sin, value=-1)
    torch.addcmul(b_cos, left, sin, out=right)
    left.copy_(rotated)


class SelfAttention(nn.Module):
    """Multi-head attention. Head h has the consecutive channels h*d .. (h+1)*d-1."""

    def __init__(self, size: int, heads: int, rotary: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.rotary = rotary
        self.qkv_proj = nn.Linear(size, 3 * size)
        self.out_proj = nn.Linear(size, size)
        if rotary:
            self.inv_freq: Tensor
            self.register_buffer("inv_freq", torch.empty(size // heads // 2))  # (d / 2,)

    def forward(self, x: Tensor, plan: PassPlan, on_attention: Callable[[Tensor], None] | None = None) -> Tensor:
        """Map (T, H) to (T, H). Call `on_attention`, if given, with each run's probabilities (count, A, n, n)."""
        projected = self.qkv_proj(x).view(len(x), 3 * self.heads, -1)  # (T, 3 A, d)
        if self.rotary:
            rotate_(projected[:, : 2 * self.heads], *plan.angles(self.inv_freq))  # queries and keys
        if plan.bounds is not None and on_attention is None:
            mixed = attend_at_once(projected, plan.bounds, plan.longest)  # (T, A, d)
        else:
            mixed = attend_by_run(projected, plan.runs, on_attention)  # (T, A, d)
        return cast(Tensor, self.out_proj(mixed.flatten(1)))  # (T, H)


def share_frequencies(network: nn.Module) -> None:
    """Give layers with equal rotary frequencies one tensor of them, so that a pass computes its angles once."""
    distinct: list[Tensor] = []
    for layer in network.modules():
        if isinstance(layer, SelfAttention) and layer.rotary:
            same = [other for other in distinct if torch.equal(other, layer.inv_freq)]
            if same:
                layer.inv_freq = same[0]
            else:
                distinct.append(layer.inv_freq)


def attend_at_once(projected: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """Return the attention (T, A, d) of all sequences, from projected queries, keys and values (T, 3 A, d).

    bounds: (B + 1,) int32, the first token of each sequence and the end. The keys of a sequence are not divided
    between parts of the GPU, so that its values do not depend on the other sequences.
    """
    from torch.nn.attention.varlen import varlen_attn  # takes time to import, and is for GPUs

    q, k, v = projected.chunk(3, dim=1)  # (T, A, d) each
    return cast(Tensor, varlen_attn(q, k, v, bounds, bounds, longest, longest, num_splits=1))


def attend_by_run(
    projected: Tensor, runs: Sequence[Run], on_attention: Callable[[Tensor], None] | None = None
) -> Tensor:
    """Return the attention (T, A, d) of all sequences, from projected queries, keys and values (T, 3 A, d)."""

    def attended(part: Tensor) -> Tensor:
        """Map (count, n, 3 A, d) to (count, n, A, d)."""
        q, k, v = part.transpose(1, 2).chunk(3, dim=1)  # (count, A, n, d) each
        found = attend(q, k, v) if on_attention is None else attend_with_probabilities(q, k, v, on_attention)
        return found.transpose(1, 2)

    if len(runs) == 1:
        (part,) = by_run(projected, runs)
        return attended(part).flatten(0, 1)
    tokens, heads, size = projected.shape
    mixed = projected.new_empty(tokens, heads // 3, size)  # (T, A, d)
    for part, output in zip(by_run(projected, runs), by_run(mixed, runs), strict=True):
        output.copy_(attended(part))
    return mixed


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(q k' / sqrt(d)) v. All are (count, A, n, d).

    Within `PassPlan.attention_kernels` the (n, n) probabilities are never stored.
    """
    if q.device.type == "cuda":
        if q.shape[-1] % (UNIT_BYTES // q.element_size()):
            return attend_padded(q, k, v, UNIT_BYTES // q.element_size())
        if q.dtype == torch.float32 or q.shape[-1] > LARGEST_FLASH_HEAD:
            k, v = within_offsets(k), within_offsets(v)
    return F.scaled_dot_product_attention(q, k, v)  # (count, A, n, d)


def within_offsets(x: Tensor, largest: int = LARGEST_KEY_OFFSET) -> Tensor:
    """Return keys or values (count, A, n, d), copied if a sequence spans more numbers in memory than `largest`.

    The heads are interleaved: from a token to the next one there are 3 H numbers. In the copy there are d.
    """
    return x.contiguous() if x.shape[2] * x.stride(2) > largest else x


def attend_padded(q: Tensor, k: Tensor, v: Tensor, multiple: int) -> Tensor:
    """Return what `attend` returns; zeros make the head size a multiple of `multiple`, which GPUs need."""
    size = q.shape[-1]
    q, k, v = (F.pad(x, (0, -size % multiple)) for x in (q, k, v))  # (count, A, n, d or more) each
    return F.scaled_dot_product_attention(q, k, v, scale=size**-0.5)[..., :size]  # (count, A, n, d)


def attend_with_probabilities(q: Tensor, k: Tensor, v: Tensor, on_attention: Callable[[Tensor], None]) -> Tensor:
    """Return the result of `attend`, and call `on_attention` with the float32 probabilities (count, A, n, n).

    Products of float32 are exact to float32 here in each precision, as they are in the kernels without maps.
    """
    with arithmetic("float32"):
        scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5  # (count, A, n, n)
        probabilities = scores.softmax(dim=-1)  # (count, A, n, n)
        on_attention(probabilities)
        return probabilities.to(v.dtype) @ v  # (count, A, n, d)
