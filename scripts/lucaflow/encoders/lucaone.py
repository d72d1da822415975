"""LucaOne's encoder: a pre-LN transformer over residues with rotary positions.

`LucaOne` gives the values of LucaOne's own code. It uses torch's operations and keeps no attention map. Parameter
names are LucaOne's, except that one matrix (`qkv_proj`) holds the query, key and value projections.

Sequences are concatenated without padding. Neighbours of equal length form a run.

Letters in shapes: T tokens of all sequences, H hidden size, A attention heads, n tokens of a sequence, `count`
sequences of a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lucaflow.encoders.attention import SelfAttention
from lucaflow.encoders.contacts import CONTACT_HEAD, ContactHead
from lucaflow.encoders.float32 import is_positive_float32
from lucaflow.encoders.interface import ConfirmedNumber, Encoder
from lucaflow.encoders.language_model import OUTPUT_MATRIX, LanguageModelHead
from lucaflow.encoders.packing import by_run
from lucaflow.encoders.pass_plan import PassPlan
from lucaflow.encoders.vocabulary import LETTERS, Vocabulary
from lucaflow.errors import quoted

# In training, `token_dropout` masks 12 % of the tokens; the other tokens are scaled to match.
TRAINED_MASK_RATIO = 0.12

_NUCLEOTIDE_DIGIT = {"A": "1", "T": "2", "U": "2", "C": "3", "G": "4"}
# Nucleotides and amino acids share one vocabulary of 39 entries. Genes use the digits 1 to 5 (A, T or U, C, G, anything
# else). Proteins use all 26 letters.
VOCABULARY = Vocabulary(
    symbols=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"12345", *"LAGVSERTIDPKQNFYMHWCXBUZOJ", ".", "-", "*"),
    first="[CLS]",
    last="[SEP]",
    mask="[MASK]",
    letters={
        "gene": {letter: _NUCLEOTIDE_DIGIT.get(letter, "5") for letter in LETTERS},
        "prot": {letter: letter for letter in LETTERS},
    },
    token_types={"gene": 0, "prot": 1},
)

# The encoder's tensors, after the prefixes of training (`module.`) and of Hugging Face directories (such as
# `lucaone.encoder.`). All others belong to heads, of the language model or of a task.
_OF_ENCODER = re.compile(
    r"(?:module\.)?(?:(?:\w+\.)?(?:embeddings|encoder)\.)?"
    r"(?P<name>(?:embed_(?:tokens|pos|type|layer_norm)|layers|last_layer_norm|contact_head)\..*)"
)
# The head of the language model. Its output matrix has two names; its bias is not named after it.
_OF_LANGUAGE_MODEL = re.compile(r"(?:module\.)?lm_head\.(.*)")
_HEAD_NAMES = {"weight": OUTPUT_MATRIX, "bias": "decoder.bias"}
# Defaults for keys that a Hugging Face config.json leaves out; that port's defaults differ from LucaOne's.
_HUGGINGFACE_DEFAULTS = {"use_embed_layer_norm": False, "no_position_embeddings": True}
# The frequencies of the rotary positions, by the names in published and in converted checkpoints.
_FREQUENCIES = ("layers.0.self_attn.rot_emb.inv_freq", "layers.0.self_attn.inv_freq")


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
        positions = {} if self.no_position_embeddings else {"max_position_embeddings": 1 + Vocabulary.special_tokens}
        types = {} if self.no_token_type_embeddings else {"type_vocab_size": 2}
        return {"num_hidden_layers": 1, "hidden_size": 1, "num_attention_heads": 1, **positions, **types}

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def longest_sequence(self) -> int | None:
        """The most residues that the position table allows; None (no limit) if the checkpoint has no such table."""
        return None if self.no_position_embeddings else self.max_position_embeddings - Vocabulary.special_tokens


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

    def forward(self, x: Tensor, plan: PassPlan, on_attention: Callable[[Tensor], None] | None = None) -> None:
        """Update the residual stream x (T, H) in place. It is float32, whatever the type of the weights is."""
        dtype = self.fc1.weight.dtype
        x += self.self_attn(self.pre_layer_norm(x).to(dtype), plan, on_attention)  # (T, H)
        for rows in torch.split(x, plan.rows_at_once):  # views of x, (rows, H)
            # (rows, H) -> (rows, 4 H) -> (rows, H)
            rows.add_(self.fc2(self.gelu(self.fc1(self.post_layer_norm(rows).to(dtype)))))


def empty_table(rows: int, size: int) -> nn.Embedding:
    """Return an embedding table (rows, size) without values; a checkpoint fills it.

    torch would draw random values. On the meta device that loads torch's compiler first, which takes each process a
    second.
    """
    values = torch.empty(rows, size)
    return nn.Embedding.from_pretrained(values, freeze=False)  # type: ignore[no-untyped-call]


class LucaOne(Encoder):
    """The part of LucaOne that turns token ids into embeddings. A checkpoint fills its tables, which start empty."""

    family = "lucaone"
    title = "a LucaOne"
    vocabulary = VOCABULARY
    architecture = EncoderConfig
    heads = {CONTACT_HEAD: ContactHead}  # noqa: RUF012

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.embed_tokens = empty_table(len(self.vocabulary), size)
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

    @property
    def config(self) -> EncoderConfig:
        return self._config

    @property
    def device(self) -> torch.device:
        return self.embed_tokens.weight.device

    @property
    def arithmetic(self) -> torch.dtype:
        return self.layers[0].fc1.weight.dtype  # type: ignore[union-attr, return-value]

    def embed(self, ids: Tensor, types: Tensor, plan: PassPlan) -> Tensor:
        """Return the float32 input (T, H) of the first block."""
        scale = self.config.embed_scale
        x = scale * self.embed_tokens(ids)  # (T, H)
        if not self.config.no_position_embeddings:
            x = x + scale * self.embed_pos(plan.positions)  # (T, H)
        if not self.config.no_token_type_embeddings:
            x = x + scale * self.embed_type(types)  # (T, H)
        if self.config.use_embed_layer_norm:
            x = self.embed_layer_norm(x)  # (T, H)
        if self.config.token_dropout:
            # rows: (count, n, H), a view of x; tokens: (count, n)
            for rows, tokens in zip(by_run(x, plan.runs), by_run(ids, plan.runs), strict=True):
                masked = (tokens == self.vocabulary.mask_id)[..., None]  # (count, n, 1)
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
        blocks = len(self.layers)
        if layer is not None and not 0 <= layer <= blocks:
            raise ValueError(f"layer {layer} does not exist; this checkpoint has layers 0 to {blocks}")
        plan = PassPlan(lengths, ids.device, self.arithmetic, self.config.head_size)
        x = self.embed(ids, types, plan)  # (T, H)
        requested = x.clone() if layer == 0 and on_attention else x  # (T, H)
        with plan.attention_kernels():
            for number, block in enumerate(self.layers[: blocks if layer is None or on_attention else layer], start=1):
                block(x, plan, on_attention)  # changes x in place
                if number == layer and on_attention:
                    requested = x.clone()  # (T, H)
        return self.last_layer_norm(x) if layer is None and self.config.use_last_layer_norm else requested

    @classmethod
    def config_of(cls, stated: Mapping[str, Any], layout: str, _folder: Path) -> EncoderConfig:
        known = {field.name for field in fields(EncoderConfig)}
        numbers = {key: value for key, value in stated.items() if key in known}
        if layout == "huggingface":
            # Whatever is stated there, that port scales rows by no dropout of tokens outside of training.
            numbers = {**_HUGGINGFACE_DEFAULTS, **numbers, "token_dropout": False}
        return EncoderConfig(**numbers)

    @classmethod
    def name_of_tensor(cls, published: str) -> str | None:
        """Return LucaOne's name of a tensor, without the prefixes from training or from a Hugging Face directory."""
        found = _OF_ENCODER.fullmatch(published)
        return found["name"] if found else None

    @classmethod
    def name_of_head_tensor(cls, published: str) -> str | None:
        found = _OF_LANGUAGE_MODEL.fullmatch(published)
        return _HEAD_NAMES.get(found[1], found[1]) if found else None

    @classmethod
    def language_model_head(cls, config: EncoderConfig) -> LanguageModelHead:
        return LanguageModelHead(config.hidden_size, len(cls.vocabulary), eps=1e-5)

    @classmethod
    def confirmed_numbers(cls, config: EncoderConfig, shapes: Mapping[str, Sequence[int]]) -> Iterator[ConfirmedNumber]:
        yield from super().confirmed_numbers(config, shapes)
        tables = [("hidden_size", "embed_tokens.weight", 1)]
        tables += [] if config.no_position_embeddings else [("max_position_embeddings", "embed_pos.weight", 0)]
        tables += [] if config.no_token_type_embeddings else [("type_vocab_size", "embed_type.weight", 0)]
        for key, name, axis in tables:
            shape = tuple(shapes.get(name, ()))
            yield ConfirmedNumber(key, _said(name, shapes), shape[axis] if len(shape) == 2 else -1)
        name = next((name for name in _FREQUENCIES if name in shapes), _FREQUENCIES[0])
        width = 2 * shapes[name][0] if len(shapes.get(name, ())) == 1 else 0
        heads = config.hidden_size // width if width and config.hidden_size % width == 0 else -1
        says = f"{_said(name, shapes)}{f', as for {heads} heads' if heads > 0 else ''}"
        yield ConfirmedNumber("num_attention_heads", says, heads)


def _said(name: str, shapes: Mapping[str, Sequence[int]]) -> str:
    return f"{name} has shape {tuple(shapes[name])}" if name in shapes else f"{name} is missing"
