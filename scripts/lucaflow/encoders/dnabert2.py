"""DNABERT-2's encoder: a post-LN transformer over byte-pair tokens, with linear biases in place of positions.

`Dnabert2` gives the values of the model class that DNABERT-2 publishes, by torch's operations. Sequences are
concatenated without padding, and no attention map is kept. On a processor the biases of attention take no memory; on a
GPU they take 128 MiB at most (encoders/alibi.py).

Letters in shapes: T tokens of all sequences, H hidden size, I intermediate size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lucaflow.encoders.alibi import BiasedAttention, distances
from lucaflow.encoders.byte_pairs import BytePairs, canonical_content
from lucaflow.encoders.float32 import is_positive_float32
from lucaflow.encoders.interface import ConfirmedNumber, Encoder, renamed
from lucaflow.encoders.language_model import OUTPUT_MATRIX, LanguageModelHead
from lucaflow.encoders.lucaone import empty_table
from lucaflow.encoders.pass_plan import PassPlan
from lucaflow.errors import quoted

_OTHERS = "Plain BERT has this model_type too, and is another network"
# What is in config.json of a network of this kind, if it is there.
_EXPECTED = {"hidden_act": ("gelu", None)}
_NAMES = {
    r"embeddings\.word_embeddings\.": "embed_tokens.",
    r"embeddings\.token_type_embeddings\.": "embed_type.",
    r"embeddings\.LayerNorm\.": "embed_layer_norm.",
    r"encoder\.layer\.(\d+)\.attention\.self\.Wqkv\.": r"layers.\1.self_attn.qkv_proj.",
    r"encoder\.layer\.(\d+)\.attention\.output\.dense\.": r"layers.\1.self_attn.out_proj.",
    r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.": r"layers.\1.attention_layer_norm.",
    r"encoder\.layer\.(\d+)\.mlp\.gated_layers\.": r"layers.\1.gated_layers.",
    r"encoder\.layer\.(\d+)\.mlp\.wo\.": r"layers.\1.fc2.",
    r"encoder\.layer\.(\d+)\.mlp\.layernorm\.": r"layers.\1.layer_norm.",
}
_HEAD_NAMES = {
    "cls.predictions.transform.dense.weight": "dense.weight",
    "cls.predictions.transform.dense.bias": "dense.bias",
    "cls.predictions.transform.LayerNorm.weight": "layer_norm.weight",
    "cls.predictions.transform.LayerNorm.bias": "layer_norm.bias",
    "cls.predictions.decoder.weight": OUTPUT_MATRIX,
    "cls.predictions.decoder.bias": "decoder.bias",
    # Some files name the bias twice.
    "cls.predictions.bias": "decoder.bias",
}
# Heads, and a list of positions that nothing reads.
_DROPPED = re.compile(r"(cls|pooler|classifier|qa_outputs)\.|embeddings\.position_ids$")
# Parts of a published tensor, one after the other.
_PARTS = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gated_layers": ("gate", "fc1")}


@dataclass(frozen=True)
class Dnabert2Config:
    """Architecture of a checkpoint, with the names of its config.json. tokenizer: JSON of its byte pairs."""

    num_hidden_layers: int = 12
    hidden_size: int = 768
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    vocab_size: int = 4096
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    tokenizer: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not type(field.default):
                raise ValueError(f"{field.name} is {quoted(value)}, expected a value like {field.default!r}")
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{field.name} is {quoted(value)}, expected 1 or more")
        if not is_positive_float32(self.layer_norm_eps):
            raise ValueError(f"layer_norm_eps is {quoted(self.layer_norm_eps)}, expected a positive number")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads is {quoted(self.num_attention_heads)}, but hidden_size "
                f"{quoted(self.hidden_size)} does not divide into so many heads"
            )

    @property
    def longest_sequence(self) -> None:
        """Nothing limits the length of a sequence."""
        return None

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads


class GatedBlock(nn.Module):
    """One layer, with norms after the sums. `gate` and `fc1` are the halves of the published `gated_layers`."""

    def __init__(self, config: Dnabert2Config) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.layer_norm_eps
        self.self_attn = BiasedAttention(size, config.num_attention_heads)
        self.attention_layer_norm = nn.LayerNorm(size, eps)
        self.gate = nn.Linear(size, config.intermediate_size, bias=False)
        self.gelu: nn.Module = nn.GELU()
        self.fc1 = nn.Linear(size, config.intermediate_size, bias=False)
        self.fc2 = nn.Linear(config.intermediate_size, size)
        self.layer_norm = nn.LayerNorm(size, eps)

    def forward(
        self, x: Tensor, plan: PassPlan, line: Tensor, on_attention: Callable[[Tensor], None] | None = None
    ) -> None:
        """Update the states x (T, H) in place. They are float32, whatever the type of the weights is."""
        dtype = self.fc2.weight.dtype
        x += self.self_attn(x.to(dtype), plan, line, on_attention)  # (T, H)
        for rows in torch.split(x, plan.rows_at_once):  # views of x, (rows, H)
            rows.copy_(self.attention_layer_norm(rows))
            low = rows.to(dtype)
            # (rows, H) -> (rows, I) -> (rows, H)
            rows.add_(self.fc2(self.gelu(self.gate(low)) * self.fc1(low)))
            rows.copy_(self.layer_norm(rows))


class Dnabert2(Encoder):
    """The part of DNABERT-2 and DNABERT-S that turns token ids into embeddings."""

    family = "dnabert"
    title = "a DNABERT-2"
    architecture = Dnabert2Config
    model_types = ("bert",)

    def __init__(self, config: Dnabert2Config) -> None:
        super().__init__(config)
        self.embed_tokens = empty_table(config.vocab_size, config.hidden_size)
        self.embed_type = empty_table(config.type_vocab_size, config.hidden_size)
        self.embed_layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.layers = nn.ModuleList(GatedBlock(config) for _ in range(config.num_hidden_layers))

    @property
    def config(self) -> Dnabert2Config:
        return self._config

    @cached_property
    def vocabulary(self) -> BytePairs:  # type: ignore[override]
        return BytePairs(self._config.tokenizer)

    @property
    def device(self) -> torch.device:
        return self.embed_tokens.weight.device

    @property
    def arithmetic(self) -> torch.dtype:
        return self.layers[0].fc2.weight.dtype  # type: ignore[union-attr, return-value]

    def forward(
        self,
        ids: Tensor,
        types: Tensor,
        lengths: Sequence[int],
        layer: int | None = None,
        on_attention: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        blocks = len(self.layers)
        if layer is not None and not 0 <= layer <= blocks:
            raise ValueError(f"layer {layer} does not exist; this checkpoint has layers 0 to {blocks}")
        plan = PassPlan(lengths, ids.device, self.arithmetic, self.config.head_size)
        line = distances(self.config.num_attention_heads, plan.longest, ids.device)  # (A, 2 n - 1)
        x = self.embed_layer_norm(self.embed_tokens(ids) + self.embed_type(types))  # (T, H)
        requested = x.clone() if layer == 0 and on_attention else x  # (T, H)
        with plan.attention_kernels():
            for number, block in enumerate(self.layers[: blocks if layer is None or on_attention else layer], start=1):
                block(x, plan, line, on_attention)  # changes x in place
                if number == layer and on_attention:
                    requested = x.clone()  # (T, H)
        return requested

    @classmethod
    def config_of(cls, stated: Mapping[str, Any], _layout: str, folder: Path) -> Dnabert2Config:
        try:
            for key, expected in _EXPECTED.items():
                if stated.get(key) not in expected:
                    raise ValueError(f"{key} is {quoted(stated.get(key))}, expected {expected[0]!r}")
            names = [field.name for field in fields(Dnabert2Config) if field.name != "tokenizer"]
            if missing := [name for name in names if name not in stated]:
                raise ValueError(f"it has no {missing[0]}")
            config = Dnabert2Config(**{name: stated[name] for name in names}, tokenizer=_content_of(folder))
            BytePairs(config.tokenizer).require(config.vocab_size)
        except ValueError as error:
            raise ValueError(f"{error}. {_OTHERS}") from error
        return config

    @classmethod
    def name_of_tensor(cls, published: str) -> str | None:
        name = published.removeprefix("bert.")
        return None if _DROPPED.match(name) else renamed(name, _NAMES)

    @classmethod
    def name_of_head_tensor(cls, published: str) -> str | None:
        return _HEAD_NAMES.get(published)

    @classmethod
    def language_model_head(cls, config: Dnabert2Config) -> LanguageModelHead:
        return LanguageModelHead(config.hidden_size, config.vocab_size, config.layer_norm_eps)

    @classmethod
    def completed(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors with projections and feed-forward layers apart, which the files hold as one."""
        if other := next((name for name in tensors if ".attention.self.query." in name), None):
            raise ValueError(f"{other} is part of a plain BERT, which has no gates and no linear biases of attention")
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            kind = name.split(".")[-2] if "." in name else ""
            parts = _PARTS.get(kind, ())
            if parts and tensor.ndim and len(tensor) % len(parts) == 0:
                names = (name.replace(f".{kind}.", f".{part}.") for part in parts)
                found |= dict(zip(names, torch.chunk(tensor, len(parts)), strict=True))
            else:
                found[name] = tensor
        return found

    @classmethod
    def confirmed_numbers(
        cls, config: Dnabert2Config, shapes: Mapping[str, Sequence[int]]
    ) -> Iterator[ConfirmedNumber]:
        yield from super().confirmed_numbers(config, shapes)
        for key, name, axis in (
            ("vocab_size", "embed_tokens.weight", 0),
            ("hidden_size", "embed_tokens.weight", 1),
            ("type_vocab_size", "embed_type.weight", 0),
            ("intermediate_size", "layers.0.fc2.weight", 1),
        ):
            shape = tuple(shapes.get(name, ()))
            says = f"{name} has shape {shape}" if name in shapes else f"{name} is missing"
            yield ConfirmedNumber(key, says, shape[axis] if len(shape) == 2 else -1)


def _content_of(folder: Path) -> str:
    """Return the content of the tokenizer in the folder of a published checkpoint. Raises ValueError without one."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ValueError("there is no tokenizer.json beside it, which says how letters become tokens")
    return canonical_content(json.loads(path.read_text(encoding="utf-8")))
