"""What does the engine need of an encoder?

A family of encoders is a subclass of `Encoder`. The engine, the store and downstream models know no other property.

Letters in shapes: T tokens of all sequences, H hidden size, A attention heads, n tokens of a sequence, `count`
sequences of a run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from lucaflow.encoders.vocabulary import Vocabulary


class Architecture(Protocol):
    """The numbers of a network that all families have.

    longest_sequence: the most residues that the network can read; None if nothing limits them.
    """

    @property
    def hidden_size(self) -> int: ...
    @property
    def num_hidden_layers(self) -> int: ...
    @property
    def num_attention_heads(self) -> int: ...
    @property
    def longest_sequence(self) -> int | None: ...


class Encoder(nn.Module, ABC):
    """A network that turns token ids into embeddings, for sequences that are concatenated without padding.

    family: its name in the table of models; vocabulary: how it reads sequences; heads: what else a checkpoint of this
    family may hold, of `contacts`; layers: its blocks, whose parameters follow `layers.<number>.` in their names.
    """

    family: ClassVar[str]
    vocabulary: ClassVar[Vocabulary]
    heads: ClassVar[tuple[str, ...]]
    layers: nn.ModuleList

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
