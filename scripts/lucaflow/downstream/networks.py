"""The networks of LucaOneTasks: they turn the embeddings of one or two sequences into a prediction.

`Head` computes what LucaBase, LucaPPI and LucaPPI2 compute from matrices. A tower (encoder, pooling, fully connected
layers) turns each sequence into a vector; the vectors of both sides, concatenated, give the prediction. So a sequence
of many pairs goes through its tower once.

Letters in shapes: B sequences, T rows of all of them, one after another; E: width of the embedding; H: width of the
encoder; D: width of the pooled rows (H, or E without an encoder); W: width of a tower's vector; C: outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucaflow.downstream.pooling import pooler
from lucaflow.downstream.structure import EncoderStructure, HeadStructure
from lucaflow.encoders.attention import SelfAttention
from lucaflow.encoders.lucaone import Block
from lucaflow.encoders.packing import runs_of
from lucaflow.encoders.pass_plan import PassPlan

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "leakyrelu": F.leaky_relu,
    "tanh": torch.tanh,
}


def activation(name: str | None) -> Callable[[Tensor], Tensor]:
    """Return an activation by LucaOneTasks' name. As in LucaOneTasks, an unknown name means tanh."""
    return ACTIVATIONS.get((name or "").lower(), torch.tanh)


class PostNormBlock(nn.Module):
    """A layer of BERT: attention without positions, norms after the sums."""

    def __init__(self, size: int, heads: int, intermediate: int, eps: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(size, heads, rotary=False)
        self.attention_norm = nn.LayerNorm(size, eps)
        self.fc1 = nn.Linear(size, intermediate)
        self.fc2 = nn.Linear(intermediate, size)
        self.output_norm = nn.LayerNorm(size, eps)

    def forward(self, x: Tensor, plan: PassPlan) -> Tensor:
        """Map (T, H) to (T, H). I: width of the intermediate layer."""
        x = self.attention_norm(x + self.self_attn(x, plan))  # (T, H)
        return self.output_norm(x + self.fc2(F.gelu(self.fc1(x))))  # (T, H) -> (T, I) -> (T, H)


class MatrixEncoder(nn.Module):
    """The transformer that some downstream models have between the embedding and the pooling."""

    def __init__(self, inputs: int, structure: EncoderStructure) -> None:
        super().__init__()
        width = structure.width
        sizes = width, structure.heads, structure.intermediate, structure.eps
        block = Block if structure.rotary else PostNormBlock
        self.rotary = structure.rotary
        self.head_size = width // structure.heads
        self.embeddings = nn.Linear(inputs, width)
        self.layers = nn.ModuleList(block(*sizes) for _ in range(structure.layers))
        if structure.rotary:
            self.last_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Map (T, E) to (T, H). lengths: the number of rows of each sequence."""
        x = self.embeddings(x)  # (T, E) -> (T, H)
        plan = PassPlan(lengths, x.device, x.dtype, self.head_size)
        with plan.attention_kernels():
            for layer in self.layers:
                if self.rotary:
                    layer(x, plan)  # (T, H), changed in place
                else:
                    x = layer(x, plan)  # (T, H)
        return self.last_layer_norm(x) if self.rotary else x  # (T, H)


class Tower(nn.Module):
    """The part of a downstream model that turns a sequence into a vector."""

    def __init__(self, structure: HeadStructure, number: int) -> None:
        super().__init__()
        self.encoder = MatrixEncoder(structure.inputs[number], structure.encoder) if structure.encoder else None
        self.pooler = pooler(structure.pooling, structure.width(number))
        widths = (structure.width(number), *structure.connected)
        self.connected = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.activation = activation(structure.connected_activation)

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Map the rows (T, E) of B sequences to their vectors (B, W). lengths: the number of rows of each sequence."""
        if self.encoder is not None:
            x = self.encoder(x, lengths)  # (T, E) -> (T, H)
        vectors: Tensor = self.pooler(x, runs_of(lengths))  # (T, D) -> (B, D)
        for layer in self.connected:
            vectors = self.activation(layer(vectors))  # first (B, D), last (B, W)
        return vectors


class Head(nn.Module):
    """A downstream model."""

    def __init__(self, structure: HeadStructure) -> None:
        super().__init__()
        self.structure = structure
        self.towers = nn.ModuleList(Tower(structure, number) for number in range(len(structure.inputs)))
        vectors = sum(structure.vector(structure.tower_of(side)) for side in range(structure.sides))
        self.hidden_layer = nn.Linear(vectors, structure.hidden)
        self.classifier = nn.Linear(structure.hidden, structure.outputs)
        self.activation = activation(structure.hidden_activation)

    def vectors(self, side: int, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return the vectors (B, W) of the sequences of a side (0 or 1), from their rows x (T, E)."""
        found: Tensor = self.towers[self.structure.tower_of(side)](x, lengths)  # (T, E) -> (B, W)
        return found

    def logits(self, *vectors: Tensor) -> Tensor:
        """Return the outputs (B, C) for the vectors (B, W) of each side."""
        joined = torch.cat(vectors, dim=1)  # (B, W) of each side -> (B, sum of W)
        hidden = self.activation(self.hidden_layer(joined))  # (B, sum of W) -> (B, hidden)
        found: Tensor = self.classifier(hidden)  # (B, hidden) -> (B, C)
        return found

    def predictions(self, logits: Tensor) -> Tensor:
        """Return the probabilities (B, C) for logits (B, C); for a regression, the logits are the values."""
        if self.structure.squashing == "softmax":
            return logits.softmax(1)  # (B, C), each row sums to 1
        return logits.sigmoid() if self.structure.squashing == "sigmoid" else logits
