"""What a trained downstream model is made of: sizes and choices, from which `networks` builds it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderStructure:
    """An encoder in front of the pooling. rotary: LucaOne's own blocks; else BERT's, which know no positions.

    width: of its rows, H; eps: of its norms.
    """

    rotary: bool
    width: int
    layers: int
    heads: int
    intermediate: int
    eps: float


@dataclass(frozen=True)
class HeadStructure:
    """What a head is made of.

    inputs: the width of the embedding, E, for each tower; sides: how many sequences it reads (a pair may share a
    tower); connected: widths of the fully connected layers; hidden, outputs: of the classifier; squashing: what makes
    probabilities of its outputs (`sigmoid`, `softmax` or `identity`).
    """

    inputs: tuple[int, ...]
    sides: int
    encoder: EncoderStructure | None
    pooling: str
    connected: tuple[int, ...]
    connected_activation: str
    hidden: int
    hidden_activation: str
    outputs: int
    squashing: str

    def width(self, tower: int) -> int:
        """Return the width of the rows that are pooled."""
        return self.encoder.width if self.encoder else self.inputs[tower]

    def vector(self, tower: int) -> int:
        """Return the width W of the vector that a tower gives."""
        return self.connected[-1] if self.connected else self.width(tower)

    def tower_of(self, side: int) -> int:
        """Return which tower reads a side (0 or 1)."""
        return min(side, len(self.inputs) - 1)
