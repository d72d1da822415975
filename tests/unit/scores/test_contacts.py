"""The categorical Jacobian finds the pairs of residues that a network has learnt to copy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.language_model import LanguageModelHead
from lucaflow.encoders.lucaone import VOCABULARY, EncoderConfig
from lucaflow.scores.contacts import contact_map, influences
from lucaflow.scores.letters import Letters
from lucaflow.scores.passes import LanguageModel

LENGTH, WIDTH = 12, 16
PAIRS = [(0, 7), (1, 4), (2, 11), (3, 9), (5, 8), (6, 10)]


class Copier(Encoder):
    """A network for sequences of one length, whose rows are mixed by one learnt table."""

    family, title, vocabulary, architecture = "copier", "a copier", VOCABULARY, EncoderConfig

    def __init__(self):
        super().__init__(EncoderConfig(hidden_size=WIDTH, num_attention_heads=1, no_position_embeddings=True))
        self.table = nn.Parameter(torch.randn(len(VOCABULARY), WIDTH))
        self.mixing = nn.Parameter(torch.zeros(LENGTH + 2, LENGTH + 2))

    config = property(lambda self: self._config)
    device = property(lambda self: self.table.device)
    arithmetic = property(lambda self: self.table.dtype)

    def forward(self, ids, _types, lengths, _layer=None, _on_attention=None):
        rows = self.table[ids].view(len(lengths), LENGTH + 2, WIDTH)
        return (self.mixing.softmax(1) @ rows).flatten(0, 1)

    @classmethod
    def config_of(cls, *_):
        raise NotImplementedError


@pytest.fixture(scope="module")
def copier():
    """The network, trained to restore hidden residues of sequences whose residues are equal in pairs."""
    torch.manual_seed(0)
    encoder, head = Copier(), LanguageModelHead(WIDTH, len(VOCABULARY), 1e-5)
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=0.03)
    letters = torch.from_numpy(Letters.of(encoder, "prot").ids)
    for _ in range(400):
        ids = torch.full((64, LENGTH + 2), VOCABULARY.id_of("[CLS]"))
        ids[:, -1] = VOCABULARY.id_of("[SEP]")
        for one, other in PAIRS:
            ids[:, one + 1] = ids[:, other + 1] = letters[torch.randint(20, (64,))]
        hidden = torch.randint(1, LENGTH + 1, (64,))
        rows = torch.arange(64)
        wanted = ids[rows, hidden]
        ids[rows, hidden] = VOCABULARY.mask_id
        states = encoder(ids.flatten(), None, [LENGTH + 2] * 64).view(64, LENGTH + 2, WIDTH)
        loss = nn.functional.cross_entropy(head(states[rows, hidden]), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.5, "it has learnt to copy"
    encoder.requires_grad_(False)
    return LanguageModel(encoder, head.eval().requires_grad_(False), budget=50 * (LENGTH + 2))


def test_planted_pairs_are_the_highest(copier):
    tokens = copier.tokens("ACDEFGHIKLMN", "prot")
    letters = Letters.of(copier.encoder, "prot")
    batches = list(influences(copier, tokens, letters))
    assert [(batch.start, batch.stop) for batch in batches] == [(at, at + 2) for at in range(0, LENGTH, 2)]
    found = contact_map(np.concatenate([batch.rows for batch in batches]))
    np.testing.assert_array_equal(found, found.T)
    upper = np.triu(found, 1)
    highest = np.argsort(upper, axis=None)[::-1][: len(PAIRS)]
    assert sorted(zip(*np.unravel_index(highest, found.shape), strict=True)) == sorted(PAIRS)
    (rest,) = (np.concatenate([batch.rows for batch in influences(copier, tokens, letters, start)]) for start in [4])
    np.testing.assert_array_equal(rest, np.concatenate([batch.rows for batch in batches])[4:])


def test_no_influence_gives_no_contacts():
    np.testing.assert_array_equal(contact_map(np.zeros((3, 3), dtype=np.float32)), np.zeros((3, 3)))
