"""The networks of LucaOneTasks: from the embedding of a sequence, or of two, to a prediction.

`Head` computes what LucaBase, LucaPPI and LucaPPI2 compute from matrices. Each sequence goes through a tower (encoder,
pooling, fully connected layers) to one vector; the vectors of both sides, one after the other, give the prediction. So
a sequence of many pairs goes through its tower once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucaflow.downstream.pooling import pooler
from lucaflow.downstream.structure import EncoderStructure, HeadStructure
from lucaflow.encoders.lucaone import Block, SelfAttention
from lucaflow.encoders.packing import Run, runs_of

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "leakyrelu": F.leaky_relu,
    "tanh": torch.tanh,
}


def activation(name: str | None) -> Callable[[Tensor], Tensor]:
    """Return an activation by LucaOneTasks' name; what it does not know is tanh there, and here."""
    return ACTIVATIONS.get((name or "").lower(), torch.tanh)


class PostNormBlock(nn.Module):
    """One of BERT's layers: attention without positions, norms after the sums."""

    def __init__(self, size: int, heads: int, intermediate: int, eps: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(size, heads, rotary=False)
        self.attention_norm = nn.LayerNorm(size, eps)
        self.fc1 = nn.Linear(size, intermediate)
        self.fc2 = nn.Linear(intermediate, size)
        self.output_norm = nn.LayerNorm(size, eps)

    def forward(self, x: Tensor, runs: Sequence[Run]) -> Tensor:
        x = self.attention_norm(x + self.self_attn(x, runs))
        return self.output_norm(x + self.fc2(F.gelu(self.fc1(x))))


class MatrixEncoder(nn.Module):
    """The transformer that some heads have between the embedding and the pooling."""

    def __init__(self, inputs: int, structure: EncoderStructure) -> None:
        super().__init__()
        width = structure.width
        sizes = width, structure.heads, structure.intermediate, structure.eps
        block = Block if structure.rotary else PostNormBlock
        self.rotary = structure.rotary
        self.embeddings = nn.Linear(inputs, width)
        self.layers = nn.ModuleList(block(*sizes) for _ in range(structure.layers))
        if structure.rotary:
            self.last_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, runs: Sequence[Run]) -> Tensor:
        """Map (T, E) to (T, H)."""
        x = self.embeddings(x)
        if not self.rotary:
            for layer in self.layers:
                x = layer(x, runs)
            return x
        for layer in self.layers:
            layer(x, runs)
        return self.last_layer_norm(x)


class Tower(nn.Module):
    """What turns one sequence into a vector."""

    def __init__(self, structure: HeadStructure, number: int) -> None:
        super().__init__()
        self.encoder = MatrixEncoder(structure.inputs[number], structure.encoder) if structure.encoder else None
        self.pooler = pooler(structure.pooling, structure.width(number))
        widths = (structure.width(number), *structure.connected)
        self.connected = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.activation = activation(structure.connected_activation)

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Map the rows (T, E) of sequences, one after another, to a vector (B, W) of each. lengths: their rows."""
        runs = runs_of(lengths)
        if self.encoder is not None:
            x = self.encoder(x, runs)
        vectors: Tensor = self.pooler(x, runs)
        for layer in self.connected:
            vectors = self.activation(layer(vectors))
        return vectors


class Head(nn.Module):
    """A trained downstream model."""

    def __init__(self, structure: HeadStructure) -> None:
        super().__init__()
        self.structure = structure
        self.towers = nn.ModuleList(Tower(structure, number) for number in range(len(structure.inputs)))
        vectors = sum(structure.vector(structure.tower_of(side)) for side in range(structure.sides))
        self.hidden_layer = nn.Linear(vectors, structure.hidden)
        self.classifier = nn.Linear(structure.hidden, structure.outputs)
        self.activation = activation(structure.hidden_activation)

    def vectors(self, side: int, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return a vector (B, W) of each sequence of a side (0 or 1); x: their rows (T, E), one after another."""
        found: Tensor = self.towers[self.structure.tower_of(side)](x, lengths)
        return found

    def logits(self, *vectors: Tensor) -> Tensor:
        """Return the outputs (B, C) for the vectors (B, W) of each side."""
        found: Tensor = self.classifier(self.activation(self.hidden_layer(torch.cat(vectors, dim=1))))
        return found

    def predictions(self, logits: Tensor) -> Tensor:
        """Return what logits (B, C) mean: probabilities, or the value itself for a regression."""
        if self.structure.squashing == "softmax":
            return logits.softmax(1)
        return logits.sigmoid() if self.structure.squashing == "sigmoid" else logits
