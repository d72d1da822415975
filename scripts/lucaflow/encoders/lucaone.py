"""LucaOne's encoder: a pre-LN transformer over residues with rotary positions.

`Encoder` gives the values of LucaOne's own code. It uses torch's operations and keeps no attention map. Parameter
names are LucaOne's, except that one matrix (`qkv_proj`) holds the query, key and value projections.

Sequences are concatenated without padding. Neighbours of equal length form a run and go through attention together.

Letters in shapes: T tokens of all sequences, H hidden size, A attention heads, d head size (H / A), n tokens of a
sequence, `count` sequences of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lucaflow.encoders.float32 import is_positive_float32
from lucaflow.encoders.packing import Run, by_run, runs_of
from lucaflow.encoders.vocabulary import CLS_AND_SEP, MASK, VOCABULARY
from lucaflow.errors import quoted

# In training, `token_dropout` masks 12 % of the tokens; the other tokens are scaled to match.
TRAINED_MASK_RATIO = 0.12
# Rows that go through the feed-forward layer at once. That layer is four times as wide as the others. On a processor
# the rows should fit near its caches; on a GPU they should keep it busy.
ROWS_AT_ONCE = {"cpu": 1024, "cuda": 8192}
# Attention kernels that store no attention map. Kernels that store one are not allowed as a fallback.
ATTENTION_KERNELS = {
    "cpu": [SDPBackend.FLASH_ATTENTION],
    "cuda": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION],
}

# When several threads make the first call of one of these functions together, the result may have four correct digits
# instead of seven, because of how MKL chooses a kernel (https://github.com/pytorch/pytorch/issues/188792). So each
# function is first called here with a single number, which uses a single thread.
for _function in (torch.cos, torch.sin, torch.tanh):
    _function(torch.zeros(1))


@dataclass(frozen=True)
class EncoderConfig:
    """Architecture of a checkpoint, with the names and defaults of LucaOne's config.json."""

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
                raise ValueError(f"{field.name} is {quoted(value)}, expected a value like {field.default!r}")
        for name, least in self._least().items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {quoted(getattr(self, name))}, expected {least} or more")
        if not is_positive_float32(self.embed_scale):
            raise ValueError(
                f"embed_scale is {quoted(self.embed_scale)}, expected a positive number that float32 holds"
            )
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"num_attention_heads is {quoted(self.num_attention_heads)}, but hidden_size "
                f"{quoted(self.hidden_size)} does not divide into so many heads of even width"
            )

    def _least(self) -> dict[str, int]:
        """Return the smallest value of each number that is used: a sequence has a residue, and there are two types."""
        positions = {} if self.no_position_embeddings else {"max_position_embeddings": 1 + CLS_AND_SEP}
        types = {} if self.no_token_type_embeddings else {"type_vocab_size": 2}
        return {"num_hidden_layers": 1, "hidden_size": 1, "num_attention_heads": 1, **positions, **types}

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def longest_sequence(self) -> int | None:
        """The most residues that the position table allows; None (no limit) if the checkpoint has no such table."""
        return None if self.no_position_embeddings else self.max_position_embeddings - CLS_AND_SEP

    def to_dict(self) -> dict[str, int | float | bool]:
        return asdict(self)


def rotary_angles(length: int, inv_freq: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosine and sine of position * inv_freq, each (length, d / 2), in float32."""
    positions = torch.arange(length, device=inv_freq.device, dtype=torch.float32)  # (length,)
    angles = torch.outer(positions, inv_freq.float())  # (length, d / 2)
    return angles.cos(), angles.sin()


def rotate_(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotate x (..., n, m, d) in place, in the half-split form: (a, b) -> (a cos - b sin, b cos + a sin).

    cos and sin are (n, d / 2).
    """
    left, right = x.chunk(2, dim=-1)  # (..., n, m, d / 2) each
    a, b = left.float(), right.float()
    cos, sin = cos[:, None], sin[:, None]  # (n, 1, d / 2)
    rotated = torch.addcmul(a * cos, b, sin, value=-1)  # (..., n, m, d / 2)
    right.copy_(torch.addcmul(b * cos, a, sin))
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

    def forward(self, x: Tensor, runs: Sequence[Run], on_attention: Callable[[Tensor], None] | None = None) -> Tensor:
        """Map (T, H) to (T, H). Call `on_attention`, if given, with each run's probabilities (count, A, n, n)."""
        mixed = torch.empty_like(x)  # (T, H)
        if self.rotary:
            cos, sin = rotary_angles(max(run.length for run in runs), self.inv_freq)  # (longest n, d / 2)
        # part: (count, n, 3 H); output: (count, n, H), a view of `mixed`
        for part, output in zip(by_run(self.qkv_proj(x), runs), by_run(mixed, runs), strict=True):
            count, length, _ = part.shape
            projected = part.view(count, length, 3 * self.heads, -1)  # (count, n, 3 A, d)
            if self.rotary:
                rotate_(projected[:, :, : 2 * self.heads], cos[:length], sin[:length])  # queries and keys
            q, k, v = projected.transpose(1, 2).chunk(3, dim=1)  # (count, A, n, d) each
            # (count, A, n, d)
            attended = attend(q, k, v) if on_attention is None else attend_with_probabilities(q, k, v, on_attention)
            output.view(count, length, self.heads, -1).copy_(attended.transpose(1, 2))  # (count, n, A, d)
        return self.out_proj(mixed)  # (T, H)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(q k' / sqrt(d)) v. All are (count, A, n, d); the (n, n) probabilities are never stored."""
    with sdpa_kernel(ATTENTION_KERNELS[q.device.type]):
        return F.scaled_dot_product_attention(q, k, v)  # (count, A, n, d)


def attend_with_probabilities(q: Tensor, k: Tensor, v: Tensor, on_attention: Callable[[Tensor], None]) -> Tensor:
    """Return the result of `attend`, and call `on_attention` with the float32 probabilities (count, A, n, n)."""
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5  # (count, A, n, n)
    probabilities = scores.softmax(dim=-1)  # (count, A, n, n)
    on_attention(probabilities)
    return probabilities.to(v.dtype) @ v  # (count, A, n, d)


class Block(nn.Module):
    """One layer. In spite of its name, `post_layer_norm` is the second pre-norm."""

    def __init__(self, size: int, heads: int, intermediate: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.pre_layer_norm = nn.LayerNorm(size, eps)
        self.self_attn = SelfAttention(size, heads)
        self.post_layer_norm = nn.LayerNorm(size, eps)
        self.fc1 = nn.Linear(size, intermediate)
        self.gelu: nn.Module = nn.GELU()
        self.fc2 = nn.Linear(intermediate, size)

    def forward(self, x: Tensor, runs: Sequence[Run], on_attention: Callable[[Tensor], None] | None = None) -> None:
        """Update the residual stream x (T, H) in place. It is float32, whatever the type of the weights is."""
        dtype = self.fc1.weight.dtype
        x += self.self_attn(self.pre_layer_norm(x).to(dtype), runs, on_attention)  # (T, H)
        for rows in torch.split(x, ROWS_AT_ONCE[x.device.type]):  # views of x, (rows, H)
            # (rows, H) -> (rows, 4 H) -> (rows, H)
            rows.add_(self.fc2(self.gelu(self.fc1(self.post_layer_norm(rows).to(dtype)))))


def empty_table(rows: int, size: int) -> nn.Embedding:
    """Return an embedding table (rows, size) without values; a checkpoint fills it.

    torch would draw random values. On the meta device that loads torch's compiler first, which takes each process a
    second.
    """
    values = torch.empty(rows, size)
    return nn.Embedding.from_pretrained(values, freeze=False)  # type: ignore[no-untyped-call]


class Encoder(nn.Module):
    """The part of LucaOne that turns token ids into embeddings. A checkpoint fills its tables, which start empty."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.embed_tokens = empty_table(len(VOCABULARY), size)
        if not config.no_position_embeddings:
            self.embed_pos = empty_table(config.max_position_embeddings, size)
        if not config.no_token_type_embeddings:
            self.embed_type = empty_table(config.type_vocab_size, size)
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
        x = scale * self.embed_tokens(ids)  # (T, H)
        if not self.config.no_position_embeddings:
            positions = [torch.arange(run.length, device=ids.device).repeat(run.count) for run in runs]  # (count n,)
            x = x + scale * self.embed_pos(torch.cat(positions))  # (T, H)
        if not self.config.no_token_type_embeddings:
            x = x + scale * self.embed_type(types)  # (T, H)
        if self.config.use_embed_layer_norm:
            x = self.embed_layer_norm(x)  # (T, H)
        if self.config.token_dropout:
            # rows: (count, n, H), a view of x; tokens: (count, n)
            for rows, tokens in zip(by_run(x, runs), by_run(ids, runs), strict=True):
                masked = (tokens == MASK)[..., None]  # (count, n, 1)
                share = masked.float().mean(1, keepdim=True)  # (count, 1, 1)
                rows.masked_fill_(masked, 0.0).mul_((1 - TRAINED_MASK_RATIO) / (1 - share))
        return x

    def forward(
        self,
        ids: Tensor,
        types: Tensor,
        lengths: Sequence[int],
        layer: int | None = None,
        on_attention: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Return the hidden states (T, H), float32, of concatenated sequences.

        ids: (T,) token ids, each sequence from [CLS] to [SEP]. types: (T,) 0 for genes, 1 for proteins.
        lengths: the tokens of each sequence, T in total. Sequences of equal length should be neighbours.
        layer: None for the last layer after the final norm, 0 for the input of the first block, i for the residual
        stream after block i.
        on_attention: called with the attention probabilities (count, A, n, n) of each run in each block, including the
        blocks after `layer`.
        """
        blocks = len(self.layers)
        if layer is not None and not 0 <= layer <= blocks:
            raise ValueError(f"layer {layer} does not exist; this checkpoint has layers 0 to {blocks}")
        runs = runs_of(lengths)
        x = self.embed(ids, types, runs)  # (T, H)
        requested = x.clone() if layer == 0 and on_attention else x  # (T, H)
        for number, block in enumerate(self.layers[: blocks if layer is None or on_attention else layer], start=1):
            block(x, runs, on_attention)  # changes x in place
            if number == layer and on_attention:
                requested = x.clone()  # (T, H)
        return self.last_layer_norm(x) if layer is None and self.config.use_last_layer_norm else requested
