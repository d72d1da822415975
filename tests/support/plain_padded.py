"""ESM-2 and DNABERT-2 in the usual way, with padding, for comparison with the engine.

Sequences go through the network in batches that are as wide as their longest one. Attention is torch's, with a mask of
the padding and, for DNABERT-2, the bias of each pair of tokens in memory. It follows the published networks: query, key
and value of ESM-2 are three products, those of DNABERT-2 one, and its feed-forward layer is one product too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from plain_lucaone import rotated
from torch import Tensor

from lucaflow.encoders.alibi import slopes_of
from lucaflow.encoders.dnabert2 import Dnabert2Config
from lucaflow.encoders.lucaone import EncoderConfig

BATCH = 16


class PaddedNetwork:
    """A network in float32. A subclass says what its layers compute.

    config: its numbers; state: the parameters of a converted checkpoint, by name.
    """

    def __init__(self, config: EncoderConfig | Dnabert2Config, state: Mapping[str, Tensor]) -> None:
        self.config = config
        self.state = state
        self.heads = config.num_attention_heads

    def pair(self, name: str) -> tuple[Tensor, Tensor | None]:
        return self.state[f"{name}.weight"], self.state.get(f"{name}.bias")

    def norm(self, x: Tensor, name: str, eps: float) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *self.pair(name), eps)

    def by_head(self, x: Tensor) -> Tensor:
        """Map (B, n, H) to (B, A, n, d)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def hidden(self, ids: Tensor, is_token: Tensor) -> Tensor:
        """Map ids and which of them are no padding (B, n) to hidden states (B, n, H)."""
        raise NotImplementedError

    @torch.inference_mode()
    def means(self, tokens: Sequence[Tensor], pad: int) -> list[Tensor]:
        """Return the mean (H,) of the rows of each sequence, without special tokens, from token ids (n,).

        Sequences of similar length should be neighbours.
        """
        found: list[Tensor] = []
        for start in range(0, len(tokens), BATCH):
            part = tokens[start : start + BATCH]
            ids = torch.nn.utils.rnn.pad_sequence(part, batch_first=True, padding_value=pad)  # (B, n)
            lengths = torch.tensor([len(each) for each in part])
            is_token = torch.arange(ids.shape[1]) < lengths[:, None]  # (B, n)
            hidden = self.hidden(ids, is_token)  # (B, n, H)
            found += [rows[1 : length - 1].mean(0) for rows, length in zip(hidden, lengths.tolist(), strict=True)]
        return found


class PaddedEsm2(PaddedNetwork):
    """ESM-2, whose input without [MASK] is scaled by 0.88."""

    def hidden(self, ids: Tensor, is_token: Tensor) -> Tensor:
        x = 0.88 * self.state["embed_tokens.weight"][ids] * is_token[..., None]
        for layer in range(self.config.num_hidden_layers):
            x = self.layer(x, f"layers.{layer}", is_token[:, None, None])
        return self.norm(x, "last_layer_norm", 1e-5)

    def layer(self, x: Tensor, name: str, is_key: Tensor) -> Tensor:
        normed = self.norm(x, f"{name}.pre_layer_norm", 1e-5)
        weights, biases = (value.chunk(3) for value in self.pair(f"{name}.self_attn.qkv_proj"))
        q, k, v = (self.by_head(F.linear(normed, *pair)) for pair in zip(weights, biases, strict=True))
        frequencies = self.state[f"{name}.self_attn.inv_freq"]
        q, k = rotated(q * q.shape[-1] ** -0.5, frequencies), rotated(k, frequencies)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=is_key, scale=1.0)
        x = x + F.linear(mixed.transpose(1, 2).flatten(2), *self.pair(f"{name}.self_attn.out_proj"))
        normed = self.norm(x, f"{name}.post_layer_norm", 1e-5)
        return x + F.linear(F.gelu(F.linear(normed, *self.pair(f"{name}.fc1"))), *self.pair(f"{name}.fc2"))


class PaddedDnabert2(PaddedNetwork):
    """DNABERT-2, with the bias of each pair of tokens, by head and sequence."""

    def hidden(self, ids: Tensor, is_token: Tensor) -> Tensor:
        eps = self.config.layer_norm_eps
        x = self.state["embed_tokens.weight"][ids] + self.state["embed_type.weight"][0]
        x = self.norm(x, "embed_layer_norm", eps)
        places = torch.arange(ids.shape[1])
        slopes = torch.tensor(slopes_of(self.heads))[:, None, None]  # (A, 1, 1)
        bias = -slopes * (places - places[:, None]).abs()  # (A, n, n)
        bias = bias + torch.where(is_token, 0.0, -10000.0)[:, None, None]  # (B, A, n, n)
        for layer in range(self.config.num_hidden_layers):
            x = self.layer(x, f"layers.{layer}", bias, eps)
        return x

    def layer(self, x: Tensor, name: str, bias: Tensor, eps: float) -> Tensor:
        q, k, v = (self.by_head(part) for part in F.linear(x, *self.pair(f"{name}.self_attn.qkv_proj")).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
        x = x + F.linear(mixed, *self.pair(f"{name}.self_attn.out_proj"))
        x = self.norm(x, f"{name}.attention_layer_norm", eps)
        gated = F.gelu(F.linear(x, *self.pair(f"{name}.gate"))) * F.linear(x, *self.pair(f"{name}.fc1"))
        return self.norm(x + F.linear(gated, *self.pair(f"{name}.fc2")), f"{name}.layer_norm", eps)
