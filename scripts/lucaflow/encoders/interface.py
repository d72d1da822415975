"""What does LucaFlow need of a family of encoders?

A family is a subclass of `Encoder` in a file of its own, and its name in `families`. The engine, the store and
downstream models know no other property of it; how it is published, only the conversion knows.

Letters in shapes: T tokens of all sequences, H hidden size, A attention heads, n tokens of a sequence, `count`
sequences of a run.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from lucaflow.encoders.byte_pairs import BytePairs
from lucaflow.encoders.language_model import LanguageModelHead
from lucaflow.encoders.vocabulary import Vocabulary


class Architecture(Protocol):
    """The numbers of a network that all families have, in a dataclass. A family may have further ones.

    longest_sequence: the most residues that the network can read; None if nothing limits them.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def hidden_size(self) -> int: ...
    @property
    def num_hidden_layers(self) -> int: ...
    @property
    def num_attention_heads(self) -> int: ...
    @property
    def longest_sequence(self) -> int | None: ...


class ConfirmedNumber(NamedTuple):
    """A number of an architecture, by its key, as the weights say it; says: that, in words."""

    key: str
    says: str
    number: int


def renamed(name: str, names: Mapping[str, str]) -> str:
    """Return a name by the first of `names` (regular expression: replacement) that fits its beginning; else unchanged.

    >>> renamed("layer.3.dense.bias", {r"layer\\.(\\d+)\\.dense\\.": r"layers.\\1.fc2."})
    'layers.3.fc2.bias'
    """
    return next((re.sub(f"^{old}", new, name) for old, new in names.items() if re.match(old, name)), name)


class Encoder(nn.Module, ABC):
    """A network that turns token ids into embeddings, for sequences that are concatenated without padding.

    family: its name in the table of models; title: in messages, with an article; vocabulary: how it reads sequences,
    by single residues or in byte pairs; architecture: the dataclass of its numbers, from which a network is made;
    heads: networks that a checkpoint of this family may hold besides, made from the same numbers, by the first part of
    the names of their tensors; layers: its blocks, whose parameters follow `layers.<number>.` in their names.
    model_types: what `model_type` in a Hugging Face config.json says of a checkpoint of this family.
    folder: of the converted checkpoint that it was loaded from; None for a network that was made otherwise.
    """

    family: ClassVar[str]
    title: ClassVar[str]
    vocabulary: Vocabulary | BytePairs
    architecture: ClassVar[type[Any]]
    heads: ClassVar[Mapping[str, type[nn.Module]]] = {}
    model_types: ClassVar[tuple[str, ...]] = ()
    layers: nn.ModuleList
    folder: Path | None = None

    def __init__(self, config: Any) -> None:
        """Build the network without values. config: of the class `architecture`."""
        super().__init__()
        self._config = config

    @property
    @abstractmethod
    def config(self) -> Architecture:
        """The architecture of this network."""

    @property
    @abstractmethod
    def arithmetic(self) -> torch.dtype:
        """The type in which matrix products run."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device that holds the parameters."""

    @abstractmethod
    def forward(
        self,
        ids: Tensor,
        types: Tensor,
        lengths: Sequence[int],
        layer: int | None = None,
        on_attention: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Return the hidden states (T, H), float32, of concatenated sequences.

        ids: (T,) token ids, each sequence from its first special token to its last. types: (T,) the vocabulary's token
        types.
        lengths: the tokens of each sequence, T in total. Sequences of equal length should be neighbours.
        layer: None for the last layer after the final norm, 0 for the input of the first block, i for the residual
        stream after block i.
        on_attention: called with the attention probabilities (count, A, n, n) of each run in each block, including the
        blocks after `layer`.
        """

    @classmethod
    @abstractmethod
    def config_of(cls, stated: Mapping[str, Any], layout: str, folder: Path) -> Any:
        """Return the architecture of a published checkpoint, of the class `architecture`.

        stated: content of its config.json; layout: `lucaone` or `huggingface`; folder: of its files. Raises ValueError
        that names a key of another network, TypeError for a value of another type.
        """

    @classmethod
    def name_of_tensor(cls, published: str) -> str | None:
        """Return the name in the network of a published tensor; None for one that is not used.

        Query, key and value are separate (`q_proj`, `k_proj`, `v_proj` for `qkv_proj`), and rotary frequencies are
        `rot_emb.inv_freq` for `inv_freq`.
        """
        return published

    @classmethod
    def name_of_head_tensor(cls, _published: str) -> str | None:
        """Return the name in `LanguageModelHead` of a published tensor; None for one that is not of that head."""
        return None

    @classmethod
    def language_model_head(cls, _config: Any) -> LanguageModelHead | None:
        """Return the head of the language model without its values; None for a family without one."""
        return None

    @classmethod
    def completed(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return all tensors of the network from those of the files, which are by its names already.

        Raises ValueError that names a tensor of another network.
        """
        return tensors

    @classmethod
    def confirmed_numbers(cls, _config: Any, shapes: Mapping[str, Sequence[int]]) -> Iterator[ConfirmedNumber]:
        """Yield each number of the architecture that the weights confirm besides the shapes of single tensors.

        shapes: of all tensors, by name. The number is -1 if the tensor that should confirm it is missing.
        """
        layers = len({name.split(".")[1] for name in shapes if name.startswith("layers.")})
        yield ConfirmedNumber("num_hidden_layers", f"the weights hold {layers} layers", layers)
