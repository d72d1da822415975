"""The structure of a downstream model: the sizes and choices from which `networks` builds it."""

from __future__ import annotations

from dataclasses import dataclass

# LucaOneTasks' names of what `pooling` and `networks` have: planning a run loads neither.
POOLINGS = (
    "none", "avg", "max", "sum", "first", "last", "attentive", "attention", "context_attention", "weighted_attention",
    "value_attention",
)  # fmt: skip
# In place of a pooling, where each row has outputs of its own.
EACH_ROW = "each_row"
ACTIVATIONS = ("gelu", "gelu_new", "relu", "leakyrelu", "tanh")


@dataclass(frozen=True)
class EncoderStructure:
    """The encoder before the pooling.

    rotary: whether its blocks are LucaOne's; if not, they are BERT's, without positions; width: H, of its rows; eps: of
    its layer norms.
    """

    rotary: bool
    width: int
    layers: int
    heads: int
    intermediate: int
    eps: float


@dataclass(frozen=True)
class HeadStructure:
    """The structure of a downstream model.

    inputs: width E of the embedding for each tower; sides: number of sequences it reads (a pair may share a tower);
    connected: widths of the fully connected layers; hidden, outputs: widths of the classifier's layers; squashing: the
    function that turns outputs into probabilities (`sigmoid`, `softmax` or `identity`).
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

    @property
    def is_token_level(self) -> bool:
        """Whether each row has outputs of its own: nothing is pooled."""
        return self.pooling == EACH_ROW

    def width(self, tower: int) -> int:
        """Return the width D of the rows that are pooled."""
        return self.encoder.width if self.encoder else self.inputs[tower]

    def vector(self, tower: int) -> int:
        """Return the width W of a tower's vector."""
        return self.connected[-1] if self.connected else self.width(tower)

    def tower_of(self, side: int) -> int:
        """Return the number of the tower that reads a side (0 or 1)."""
        return min(side, len(self.inputs) - 1)
