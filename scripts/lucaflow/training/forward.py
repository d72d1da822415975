"""What does a downstream model compute while it is trained?

The same as `lucaflow.downstream.networks`, whose parameters it uses, with dropout and gradients: nothing is changed in
place. Sequences are concatenated without padding, or padded to one length as LucaOneTasks does.

Letters in shapes: B rows of a batch; T rows of all matrices, one after another; A heads of d channels; H: width of the
encoder; D: width of the pooled rows; W: width of a tower's vector; C: outputs; P: what has a label, B or T.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lucaflow.downstream.networks import Head, MatrixEncoder, PostNormBlock, Tower
from lucaflow.encoders.attention import SelfAttention
from lucaflow.encoders.lucaone import Block
from lucaflow.encoders.packing import by_run, runs_of
from lucaflow.encoders.pass_plan import PassPlan
from lucaflow.training.dropout import Dropout, no_dropout


@dataclass(frozen=True)
class Rows:
    """The matrices of the sequences of one side of a batch, one after another.

    x: (T, E); lengths: the rows of each sequence; valid: (T,), false for rows of padding; None: there is no padding;
    places: for each row of the batch, which of these sequences is its own; none: the sequences are those of the rows.
    """

    x: Tensor
    lengths: tuple[int, ...]
    valid: Tensor | None = None
    places: tuple[int, ...] = ()

    def without_padding(self, x: Tensor) -> tuple[Tensor, Sequence[int]]:
        """Return rows x (T, D) that were computed of these, without those of padding, and their lengths."""
        if self.valid is None:
            return x, self.lengths
        lengths = [int(part.sum()) for part in torch.split(self.valid, list(self.lengths))]
        return x[self.valid], lengths


def outputs(head: Head, sides: Sequence[Rows | Tensor], by_token: bool, dropout: Dropout = no_dropout) -> Tensor:
    """Return the outputs (P, C) of a network before the last function.

    sides: the matrices of each side, or their pooled vectors (B, D); by_token: whether each row has its own outputs
    (T, C), and nothing is pooled.
    """
    found = []
    for number, side in enumerate(sides):
        tower = head.towers[head.structure.tower_of(number)]
        assert isinstance(tower, Tower)
        pooled = side if isinstance(side, Tensor) else _pooled(tower, side, by_token, dropout)
        for layer in tower.connected:
            pooled = tower.activation(layer(pooled))  # first (P, D), last (P, W)
        found.append(pooled)
    joined = dropout(torch.cat(found, dim=1))  # (P, sum of W)
    return head.classifier(head.activation(head.hidden_layer(joined)))  # (P, hidden) -> (P, C)


def _pooled(tower: Tower, rows: Rows, by_token: bool, dropout: Dropout) -> Tensor:
    """Return the vectors (B, D) of sequences, or their encoded rows (T, D)."""
    x = rows.x if tower.encoder is None else encoded(tower.encoder, rows, dropout)  # (T, D)
    if by_token:
        return x
    x, lengths = rows.without_padding(x)
    vectors = tower.pooler(x, runs_of(lengths))  # (B, D)
    return vectors[list(rows.places)] if rows.places else vectors


def encoded(encoder: MatrixEncoder, rows: Rows, dropout: Dropout) -> Tensor:
    """Return the encoder's rows (T, H)."""
    x = encoder.embeddings(rows.x)  # (T, E) -> (T, H)
    if encoder.rotary and rows.valid is not None:
        x = x * rows.valid[:, None]
    plan = PassPlan(rows.lengths, x.device, x.dtype, encoder.head_size)
    for layer in encoder.layers:
        if isinstance(layer, Block):
            x = x + _attended(layer.self_attn, layer.pre_layer_norm(x), plan, rows.valid, dropout)  # (T, H)
            x = x + layer.fc2(F.gelu(layer.fc1(layer.post_layer_norm(x))))  # (T, H)
        else:
            assert isinstance(layer, PostNormBlock)
            mixed = dropout(_attended(layer.self_attn, x, plan, rows.valid, dropout))  # (T, H)
            x = layer.attention_norm(x + mixed)
            x = layer.output_norm(x + dropout(layer.fc2(F.gelu(layer.fc1(x)))))  # (T, H)
    return encoder.last_layer_norm(x) if encoder.rotary else x


def _attended(attention: SelfAttention, x: Tensor, plan: PassPlan, valid: Tensor | None, dropout: Dropout) -> Tensor:
    """Map (T, H) to (T, H). Rows of padding attend, but nothing attends to them."""
    projected = attention.qkv_proj(x).view(len(x), 3 * attention.heads, -1)  # (T, 3 A, d)
    q, k, v = projected.chunk(3, dim=1)  # (T, A, d) each
    if attention.rotary:
        cos, sin = plan.angles(attention.inv_freq)
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
    masks = by_run(valid, plan.runs) if valid is not None else [None] * len(plan.runs)
    mixed = []
    for mask, *parts in zip(masks, *(by_run(part, plan.runs) for part in (q, k, v)), strict=True):
        queries, keys, values = (part.transpose(1, 2) for part in parts)  # (n, A, L, d) each
        found = attend(queries, keys, values, mask, dropout)  # (n, A, L, d)
        mixed.append(found.transpose(1, 2).flatten(0, 1))  # (n L, A, d)
    return attention.out_proj(torch.cat(mixed).flatten(1))  # (T, A, d) -> (T, H)


def attend(q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None, dropout: Dropout) -> Tensor:
    """Return the attention of sequences of one length; all are (n, A, L, d).

    valid: (n, L), the keys that are no padding. Without dropout and padding the probabilities are never stored.
    """
    if valid is None and dropout is no_dropout:
        return F.scaled_dot_product_attention(q, k, v)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)  # (n, A, L, L)
    if valid is not None:
        scores = scores.masked_fill(~valid[:, None, None, :], float("-inf"))
    return dropout(scores.softmax(-1)) @ v  # (n, A, L, d)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return x (T, A, d) rotated in the half-split form. cos and sin are (T, 1, d / 2)."""
    left, right = x.chunk(2, dim=-1)  # (T, A, d / 2) each
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)
