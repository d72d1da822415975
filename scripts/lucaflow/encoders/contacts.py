"""Contact maps: which residues are in contact, from the attention of all layers and heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lucaflow.encoders.interface import Architecture, Encoder

# The first part of the names of its tensors, by which a family has it among its heads.
CONTACT_HEAD = "contact_head"


class ContactHead(nn.Module):
    """A contact map: a logistic regression on the attention of all layers and heads."""

    def __init__(self, config: Architecture) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.regression = nn.Linear(config.num_hidden_layers * self.heads, 1)

    def forward(self, encoder: Encoder, ids: Tensor, types: Tensor, layer: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the hidden states (L + 2, H) of `layer` and the contact probabilities (L, L) of one sequence.

        ids and types are (L + 2,). Only one layer's maps are in memory at a time. Each map is symmetrised, corrected
        for its average product, and added with its regression weights.
        """
        residues = len(ids) - 2
        contacts = torch.zeros(residues, residues, device=ids.device)  # (L, L)
        layer_weights = iter(self.regression.weight.float().view(-1, self.heads))  # (A,) for each layer

        def add(probabilities: Tensor) -> None:
            nonlocal contacts
            a = probabilities[0].clone()  # (1, A, L + 2, L + 2) -> (A, L + 2, L + 2)
            a[:, -1, :] = 0
            a[:, :, -1] = 0
            a = a[:, 1:-1, 1:-1]  # (A, L, L)
            a = a + a.transpose(1, 2)  # (A, L, L)
            # (A, L, 1) * (A, 1, L) / (A, 1, 1) -> (A, L, L)
            a = a - a.sum(2, keepdim=True) * a.sum(1, keepdim=True) / a.sum((1, 2), keepdim=True)
            contacts = contacts + torch.einsum("h,hij->ij", next(layer_weights), a)  # (L, L)

        hidden = encoder(ids, types, [len(ids)], layer=layer, on_attention=add)  # (L + 2, H)
        return hidden, torch.sigmoid(contacts + self.regression.bias.float())  # (L + 2, H), (L, L)
