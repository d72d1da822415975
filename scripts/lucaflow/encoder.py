"""LucaOne's encoder: a pre-LN transformer over residues with rotary positions.

`Encoder` computes what LucaOne computes, in torch's own operations, and keeps no attention map. Parameter names
are LucaOne's, except that the query, key and value projections are one matrix (`qkv_proj`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucaflow.alphabet import CLS_AND_SEP, MASK, VOCABULARY

# A token that `token_dropout` masks in training is absent 12 % of the time; the rest is scaled to match.
TRAINED_MASK_RATIO = 0.12
# Of the feed-forward layer, which is four times as wide as the rest.
ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class EncoderConfig:
    """Architecture of a checkpoint. Names and defaults are those LucaOne gives them in config.json."""

    max_position_embeddings: int = 4096
    type_vocab_size: int = 2
    num_hidden_layers: int = 24
    hidden_size: int = 1280
    num_attention_heads: int = 20
    no_position_embeddings: bool = False
    no_token_type_embeddings: bool = False
    token_dropout: bool = True
    use_embed_layer_norm: bool = True
    use_last_layer_norm: bool = True
    embed_scale: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise ValueError(f"{field.name} is {value!r}, expected a value like {field.default!r}")
        if min(self.num_hidden_layers, self.hidden_size, self.num_attention_heads) < 1:
            raise ValueError("num_hidden_layers, hidden_size and num_attention_heads must be positive")
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide into {self.num_attention_heads} heads of even width"
            )

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def longest_sequence(self) -> int | None:
        """Residues that fit a table of positions; None where there is no table and so no limit."""
        return None if self.no_position_embeddings else self.max_position_embeddings - CLS_AND_SEP

    def to_dict(self) -> dict[str, int | float | bool]:
        return asdict(self)


def rotary_angles(length: int, inv_freq: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine, each (length, d), of position * inv_freq, in float32, repeated for both halves."""
    positions = torch.arange(length, device=inv_freq.device, dtype=torch.float32)
    angles = torch.outer(positions, inv_freq.float()).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate (..., n, d) in the half-split form: (a, b) -> (a cos - b sin, b cos + a sin)."""
    a, b = x.float().chunk(2, dim=-1)
    return (x.float() * cos + torch.cat((-b, a), dim=-1) * sin).to(x.dtype)


def in_slices(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of single rows to (B, n, H): many rows go in slices, so that what it needs stays small."""
    if x.shape[0] * x.shape[1] <= ROWS_AT_ONCE:
        return function(x)
    return torch.cat([function(rows) for rows in torch.split(x.flatten(0, 1), ROWS_AT_ONCE)]).view(*x.shape[:2], -1)


class SelfAttention(nn.Module):
    """Multi-head attention; head h owns the consecutive channels h*d .. (h+1)*d-1."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.qkv_proj = nn.Linear(size, 3 * size)
        self.out_proj = nn.Linear(size, size)
        self.inv_freq: Tensor
        self.register_buffer("inv_freq", torch.empty(config.head_size // 2))

    def forward(self, x: Tensor, mask: Tensor | None, attention_to: Callable[[Tensor], None] | None) -> Tensor:
        """Map (B, n, H) to (B, n, H); `mask` is (B, 1, 1, n), true at keys that count.

        With `attention_to` the probabilities (B, A, n, n) are computed plainly and handed over.
        """
        batch, length, size = x.shape
        q, k, v = self.qkv_proj(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        cos, sin = rotary_angles(length, self.inv_freq)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if attention_to is None:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
            if mask is not None:
                scores = scores.masked_fill(~mask, -torch.inf)
            probabilities = scores.softmax(dim=-1)
            attention_to(probabilities)
            mixed = probabilities.to(v.dtype) @ v
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, length, size))


class Block(nn.Module):
    """One layer; `post_layer_norm` is the second pre-norm, in spite of its name."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.pre_layer_norm = nn.LayerNorm(size)
        self.self_attn = SelfAttention(config)
        self.post_layer_norm = nn.LayerNorm(size)
        self.fc1 = nn.Linear(size, 4 * size)
        self.fc2 = nn.Linear(4 * size, size)

    def forward(self, x: Tensor, mask: Tensor | None, attention_to: Callable[[Tensor], None] | None) -> Tensor:
        """Map the residual stream (B, n, H), kept in float32 whatever the weights are, to the next."""
        arithmetic = self.fc1.weight.dtype
        x = x + self.self_attn(self.pre_layer_norm(x).to(arithmetic), mask, attention_to)
        return x + in_slices(lambda rows: self.fc2(F.gelu(self.fc1(self.post_layer_norm(rows).to(arithmetic)))), x)


class Encoder(nn.Module):
    """The part of LucaOne that turns token ids into embeddings."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.embed_tokens = nn.Embedding(len(VOCABULARY), size)
        if not config.no_position_embeddings:
            self.embed_pos = nn.Embedding(config.max_position_embeddings, size)
        if not config.no_token_type_embeddings:
            self.embed_type = nn.Embedding(config.type_vocab_size, size)
        if config.use_embed_layer_norm:
            self.embed_layer_norm = nn.LayerNorm(size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        if config.use_last_layer_norm:
            self.last_layer_norm = nn.LayerNorm(size)

    def embed(self, ids: Tensor, types: Tensor, valid: Tensor) -> Tensor:
        """Return the float32 input (B, n, H) of the first block; rows of padding are zero."""
        scale = self.config.embed_scale
        x = scale * self.embed_tokens(ids)
        if not self.config.no_position_embeddings:
            x = x + scale * self.embed_pos(torch.arange(ids.shape[1], device=ids.device))
        if not self.config.no_token_type_embeddings:
            x = x + scale * self.embed_type(types)
        if self.config.use_embed_layer_norm:
            x = self.embed_layer_norm(x)
        if self.config.token_dropout:
            masked = ids == MASK
            share = (masked.sum(1) / valid.sum(1)).view(-1, 1, 1)
            x = x.masked_fill(masked.unsqueeze(-1), 0.0) * ((1 - TRAINED_MASK_RATIO) / (1 - share))
        return x.masked_fill(~valid.unsqueeze(-1), 0.0)

    def forward(
        self,
        ids: Tensor,
        types: Tensor,
        lengths: Tensor,
        layer: int | None = None,
        attention_to: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Return the hidden states (B, n, H), float32.

        ids: (B, n) token ids, [CLS] first, [SEP] last, then padding; types: (B, n) 0 for genes, 1 for proteins;
        lengths: (B,) tokens that are not padding, [CLS] and [SEP] included. Rows of padding mean nothing.
        layer: None for the last one after the final norm, 0 for the input of the first block, i for the residual
        stream after block i. `attention_to` is called with the (B, A, n, n) attention probabilities of each block,
        those after `layer` too.
        """
        blocks = len(self.layers)
        if layer is not None and not 0 <= layer <= blocks:
            raise ValueError(f"layer {layer} does not exist: this checkpoint has layers 0 to {blocks}")
        valid = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
        mask = None if bool(valid.all()) else valid[:, None, None, :]
        x = self.embed(ids, types, valid)
        states = x
        for number, block in enumerate(self.layers[: blocks if layer is None or attention_to else layer], start=1):
            x = block(x, mask, attention_to)
            if layer is None or number <= layer:
                states = x
        return self.last_layer_norm(states) if layer is None and self.config.use_last_layer_norm else states


class ContactHead(nn.Module):
    """LucaOne's contact map: logistic regression on the attention of all layers and heads."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.regression = nn.Linear(config.num_hidden_layers * self.heads, 1)

    def forward(self, encoder: Encoder, ids: Tensor, types: Tensor, layer: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the hidden states (1, L + 2, H) of `layer` and the contact probabilities (L, L) of one sequence.

        ids and types are (1, L + 2). One layer's maps are held at a time: each is symmetrised, corrected for its
        average product, and added with its regression weights.
        """
        residues = ids.shape[1] - 2
        contacts = torch.zeros(residues, residues, device=ids.device)
        layer_weights = iter(self.regression.weight.float().view(-1, self.heads))

        def add(probabilities: Tensor) -> None:
            nonlocal contacts
            a = probabilities[0].clone()
            a[:, -1, :] = 0
            a[:, :, -1] = 0
            a = a[:, 1:-1, 1:-1]
            a = a + a.transpose(1, 2)
            a = a - a.sum(2, keepdim=True) * a.sum(1, keepdim=True) / a.sum((1, 2), keepdim=True)
            contacts = contacts + torch.einsum("h,hij->ij", next(layer_weights), a)

        lengths = torch.tensor([ids.shape[1]], device=ids.device)
        hidden = encoder(ids, types, lengths, layer=layer, attention_to=add)
        return hidden, torch.sigmoid(contacts + self.regression.bias.float())
