"""The head of the language model: which token does an encoder expect at a row?

One head serves all types of sequences. It was trained to restore hidden tokens, together with the encoder.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

# The tensor that a checkpoint may lack: it is then the encoder's own table of tokens.
OUTPUT_MATRIX = "decoder.weight"


class LanguageModelHead(nn.Module):
    """A layer, its norm, and a product with one row for each token.

    size: H, of the encoder; tokens: V, of its vocabulary; eps: of the norm, as in the encoder.
    """

    def __init__(self, size: int, tokens: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(size, size)
        self.layer_norm = nn.LayerNorm(size, eps)
        self.decoder = nn.Linear(size, tokens)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the logits (R, V) of rows of the last hidden states (R, H). Nothing is scaled or left out."""
        return cast(Tensor, self.decoder(self.layer_norm(F.gelu(self.dense(hidden)))))
