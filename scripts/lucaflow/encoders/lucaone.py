"""LucaOne's encoder: a pre-LN transformer over residues with rotary positions.

`Encoder` computes what LucaOne computes, in torch's own operations, and keeps no attention map. Parameter names
are LucaOne's, except that the query, key and value projections are one matrix (`qkv_proj`).

Sequences lie one after another, without padding. Neighbours of equal length, a run, go through attention together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lucaflow.encoders.packing import Run, by_run, runs_of
from lucaflow.encoders.vocabulary import CLS_AND_SEP, MASK, VOCABULARY

# A token that `token_dropout` masks in training is absent 12 % of the time; the rest is scaled to match.
TRAINED_MASK_RATIO = 0.12
# How many rows go through the feed-forward layer at once, which is four times as wide as the rest: on a processor as
# many as stay near its caches, on a GPU as many as keep it busy.
ROWS_AT_ONCE = {"cpu": 1024, "cuda": 8192}
# Attention that keeps no map. There is no falling back on one that does.
ATTENTION = {
    "cpu": [SDPBackend.FLASH_ATTENTION],
    "cuda": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION],
}

# The first call of one of these, where several threads make it at once, may give four digits instead of seven (MKL's
# choice of a kernel: https://github.com/pytorch/pytorch/issues/188792). A single number takes a single thread.
for _function in (torch.cos, torch.sin, torch.tanh):
    _function(torch.zeros(1))


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
    """Return cosine and sine, each (length, d / 2), of position * inv_freq, in float32."""
    positions = torch.arange(length, device=inv_freq.device, dtype=torch.float32)
    angles = torch.outer(positions, inv_freq.float())
    return angles.cos(), angles.sin()


def rotate_(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotate (..., n, m, d) in place, in the half-split form: (a, b) -> (a cos - b sin, b cos + a sin)."""
    left, right = x.chunk(2, dim=-1)
    a, b = left.float(), right.float()
    cos, sin = cos[:, None], sin[:, None]
    rotated = torch.addcmul(a * cos, b, sin, value=-1)
    right.copy_(torch.addcmul(b * cos, a, sin))
    left.copy_(rotated)


class SelfAttention(nn.Module):
    """Multi-head attention; head h owns the consecutive channels h*d .. (h+1)*d-1."""

    def __init__(self, size: int, heads: int, rotary: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.rotary = rotary
        self.qkv_proj = nn.Linear(size, 3 * size)
        self.out_proj = nn.Linear(size, size)
        if rotary:
            self.inv_freq: Tensor
            self.register_buffer("inv_freq", torch.empty(size // heads // 2))

    def forward(self, x: Tensor, runs: Sequence[Run], attention_to: Callable[[Tensor], None] | None = None) -> Tensor:
        """Map (T, H) to (T, H). With `attention_to` probabilities (count, A, n, n) are computed and handed over."""
        mixed = torch.empty_like(x)
        if self.rotary:
            cos, sin = rotary_angles(max(run.length for run in runs), self.inv_freq)
        for part, output in zip(by_run(self.qkv_proj(x), runs), by_run(mixed, runs), strict=True):
            count, length, _ = part.shape
            projected = part.view(count, length, 3 * self.heads, -1)
            if self.rotary:
                rotate_(projected[:, :, : 2 * self.heads], cos[:length], sin[:length])
            q, k, v = projected.transpose(1, 2).chunk(3, dim=1)
            attended = attend(q, k, v) if attention_to is None else attend_openly(q, k, v, attention_to)
            output.view(count, length, self.heads, -1).copy_(attended.transpose(1, 2))
        return self.out_proj(mixed)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(q k' / sqrt(d)) v, each (count, A, n, d), without ever holding the (n, n) probabilities."""
    with sdpa_kernel(ATTENTION[q.device.type]):
        return F.scaled_dot_product_attention(q, k, v)


def attend_openly(q: Tensor, k: Tensor, v: Tensor, attention_to: Callable[[Tensor], None]) -> Tensor:
    """Return the same as `attend`, step by step, and hand over the probabilities (count, A, n, n), float32."""
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
    probabilities = scores.softmax(dim=-1)
    attention_to(probabilities)
    return probabilities.to(v.dtype) @ v


class Block(nn.Module):
    """One layer; `post_layer_norm` is the second pre-norm, in spite of its name."""

    def __init__(self, size: int, heads: int, intermediate: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.pre_layer_norm = nn.LayerNorm(size, eps)
        self.self_attn = SelfAttention(size, heads)
        self.post_layer_norm = nn.LayerNorm(size, eps)
        self.fc1 = nn.Linear(size, intermediate)
        self.gelu: nn.Module = nn.GELU()
        self.fc2 = nn.Linear(intermediate, size)

    def forward(self, x: Tensor, runs: Sequence[Run], attention_to: Callable[[Tensor], None] | None = None) -> None:
        """Change the residual stream (T, H), kept in float32 whatever the weights are, into the next."""
        arithmetic = self.fc1.weight.dtype
        x += self.self_attn(self.pre_layer_norm(x).to(arithmetic), runs, attention_to)
        for rows in torch.split(x, ROWS_AT_ONCE[x.device.type]):
            rows.add_(self.fc2(self.gelu(self.fc1(self.post_layer_norm(rows).to(arithmetic)))))


def table(rows: int, size: int) -> nn.Embedding:
    """Return an embedding without values, which a checkpoint gives.

    Drawing some, as torch does, on the meta device loads torch's compiler first: a second for each process.
    """
    values = torch.empty(rows, size)
    return nn.Embedding.from_pretrained(values, freeze=False)  # type: ignore[no-untyped-call]


class Encoder(nn.Module):
    """The part of LucaOne that turns token ids into embeddings. Its tables are empty until a checkpoint fills them."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.embed_tokens = table(len(VOCABULARY), size)
        if not config.no_position_embeddings:
            self.embed_pos = table(config.max_position_embeddings, size)
        if not config.no_token_type_embeddings:
            self.embed_type = table(config.type_vocab_size, size)
        if config.use_embed_layer_norm:
            self.embed_layer_norm = nn.LayerNorm(size)
        self.layers = nn.ModuleList(
            Block(size, config.num_attention_heads, 4 * size) for _ in range(config.num_hidden_layers)
        )
        if config.use_last_layer_norm:
            self.last_layer_norm = nn.LayerNorm(size)

    def embed(self, ids: Tensor, types: Tensor, runs: Sequence[Run]) -> Tensor:
        """Return the float32 input (T, H) of the first block."""
        scale = self.config.embed_scale
        x = scale * self.embed_tokens(ids)
        if not self.config.no_position_embeddings:
            positions = [torch.arange(run.length, device=ids.device).repeat(run.count) for run in runs]
            x = x + scale * self.embed_pos(torch.cat(positions))
        if not self.config.no_token_type_embeddings:
            x = x + scale * self.embed_type(types)
        if self.config.use_embed_layer_norm:
            x = self.embed_layer_norm(x)
        if self.config.token_dropout:
            for rows, tokens in zip(by_run(x, runs), by_run(ids, runs), strict=True):
                masked = (tokens == MASK)[..., None]
                share = masked.float().mean(1, keepdim=True)
                rows.masked_fill_(masked, 0.0).mul_((1 - TRAINED_MASK_RATIO) / (1 - share))
        return x

    def forward(
        self,
        ids: Tensor,
        types: Tensor,
        lengths: Sequence[int],
        layer: int | None = None,
        attention_to: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Return the hidden states (T, H), float32, of sequences that lie one after another.

        ids: (T,) token ids, each sequence from [CLS] to [SEP]; types: (T,) 0 for genes, 1 for proteins; lengths: the
        tokens of each sequence, T together. Like lengths should be neighbours.
        layer: None for the last one after the final norm, 0 for the input of the first block, i for the residual
        stream after block i. `attention_to` is called with the (count, A, n, n) attention probabilities of each run in
        each block, those after `layer` too.
        """
        blocks = len(self.layers)
        if layer is not None and not 0 <= layer <= blocks:
            raise ValueError(f"layer {layer} does not exist: this checkpoint has layers 0 to {blocks}")
        runs = runs_of(lengths)
        x = self.embed(ids, types, runs)
        asked_for = x.clone() if layer == 0 and attention_to else x
        for number, block in enumerate(self.layers[: blocks if layer is None or attention_to else layer], start=1):
            block(x, runs, attention_to)
            if number == layer and attention_to:
                asked_for = x.clone()
        return self.last_layer_norm(x) if layer is None and self.config.use_last_layer_norm else asked_for
