"""A plain implementation of LucaOne's network, computed as LucaOneApp does, for comparison with the engine.

It is in float32, or in float64 to find the errors of lower precisions, with separate projections for query, key and
value, and with padding masked. It keeps the states and attention maps of every layer and stacks the maps at the end. It
follows a description of LucaOneApp's computation, but does not support [MASK] tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from lucaflow.encoders.lucaone import VOCABULARY, EncoderConfig


def rotated(x: Tensor, inv_freq: Tensor) -> Tensor:
    """Rotate (B, A, n, d) by position, in the half-split form."""
    positions = torch.arange(x.shape[-2], dtype=inv_freq.dtype, device=x.device)
    angles = torch.outer(positions, inv_freq)
    angles = torch.cat((angles, angles), dim=-1)
    left, right = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat((-right, left), dim=-1) * angles.sin()


class PlainLayer:
    """One block. weights: those of an encoder's block, with query, key and value in one matrix."""

    def __init__(self, weights: Mapping[str, Tensor], heads: int, dtype: torch.dtype) -> None:
        self.weights = {name: value.to(dtype) for name, value in weights.items()}
        self.heads = heads
        self.projections = [
            (weight.clone(), bias.clone())
            for weight, bias in zip(*(part.chunk(3) for part in self.pair("self_attn.qkv_proj")), strict=True)
        ]

    def pair(self, name: str) -> tuple[Tensor, Tensor]:
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def __call__(self, x: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, n, H) to the next residual stream and the attention maps (B, A, n, n)."""
        batch, length, size = x.shape
        normed = F.layer_norm(x, (size,), *self.pair("pre_layer_norm"))
        q, k, v = (
            F.linear(normed, *projection).view(batch, length, self.heads, -1).transpose(1, 2)
            for projection in self.projections
        )
        q = rotated(q * q.shape[-1] ** -0.5, self.weights["self_attn.inv_freq"])
        scores = q @ rotated(k, self.weights["self_attn.inv_freq"]).transpose(-1, -2)
        if padding.any():
            scores = scores.masked_fill(padding[:, None, None, :], -torch.inf)
        maps = scores.softmax(dim=-1)
        mixed = (maps @ v).transpose(1, 2).reshape(batch, length, size)
        x = x + F.linear(mixed, *self.pair("self_attn.out_proj"))
        normed = F.layer_norm(x, (size,), *self.pair("post_layer_norm"))
        return x + F.linear(F.gelu(F.linear(normed, *self.pair("fc1"))), *self.pair("fc2")), maps


class PlainLucaOne:
    """LucaOne's network. state: the parameters of a converted checkpoint, by name; dtype: float32 or float64."""

    def __init__(self, config: EncoderConfig, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> None:
        self.config = config
        self.state = {name: value.to(dtype) for name, value in state.items() if not name.startswith("layers.")}
        self.layers = []
        for number in range(config.num_hidden_layers):
            prefix = f"layers.{number}."
            weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            self.layers.append(PlainLayer(weights, config.num_attention_heads, dtype))

    def norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (self.config.hidden_size,), self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    @torch.no_grad()
    def __call__(self, ids: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        """Map ids and types (B, n) to the hidden states (B, n, H) and the maps of all layers (B, N, A, n, n)."""
        config, state = self.config, self.state
        padding = ids == VOCABULARY.id_of("[PAD]")
        x = state["embed_tokens.weight"][ids]
        if not config.no_position_embeddings:
            x = x + state["embed_pos.weight"][: ids.shape[1]]
        if not config.no_token_type_embeddings:
            x = x + state["embed_type.weight"][types]
        x = x * config.embed_scale
        if config.use_embed_layer_norm:
            x = self.norm(x, "embed_layer_norm")
        if config.token_dropout:
            x = x * 0.88
        x = x.masked_fill(padding[..., None], 0.0)
        maps, hidden_states = [], [x]
        for layer in self.layers:
            x, attention = layer(x, padding)
            maps.append(attention)
            hidden_states.append(x)
        stacked = torch.stack(maps, dim=1)
        return (self.norm(x, "last_layer_norm") if config.use_last_layer_norm else x), stacked
