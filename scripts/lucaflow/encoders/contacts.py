"""Contact maps: which residues touch, from the attention of all layers and heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lucaflow.encoders.lucaone import Encoder, EncoderConfig


class ContactHead(nn.Module):
    """LucaOne's contact map: logistic regression on the attention of all layers and heads."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.regression = nn.Linear(config.num_hidden_layers * self.heads, 1)

    def forward(self, encoder: Encoder, ids: Tensor, types: Tensor, layer: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the hidden states (L + 2, H) of `layer` and the contact probabilities (L, L) of one sequence.

        ids and types are (L + 2,). One layer's maps are held at a time: each is symmetrised, corrected for its
        average product, and added with its regression weights.
        """
        residues = len(ids) - 2
        contacts = torch.zeros(residues, residues, device=ids.device)
        layer_weights = iter(self.regression.weight.float().view(-1, self.heads))

        def add(probabilities: Tensor) -> None:
            nonlocal contacts
            a = probabilities[0].clone()
            a[:, -1, :] = 0
            a[:, :, -1] = 0
            a = a[:, 1:-1, 1:-1]
            a = a + a.transpose(1, 2)
            a = a - a.sum(2, keepdim=True) * a.sum(1, keepdim=True) / a.sum((1, 2), keepdim=True)
            contacts = contacts + torch.einsum("h,hij->ij", next(layer_weights), a)

        hidden = encoder(ids, types, [len(ids)], layer=layer, attention_to=add)
        return hidden, torch.sigmoid(contacts + self.regression.bias.float())
