"""Passes go through the network together, within the budget and the memory, and their values do not depend on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_network import network

from lucaflow.encoders.language_model import LanguageModelHead
from lucaflow.errors import DeviceError, EmbeddingError
from lucaflow.scores.likelihood import masked_log_probabilities, unmasked_log_probabilities
from lucaflow.scores.passes import LanguageModel, Pass

PROTEIN = "MKVLAWRRKLAWQE"


@pytest.fixture
def model():
    """A language model with random weights, which takes four passes over the protein at once."""
    encoder = network(torch.device("cpu"))
    torch.manual_seed(1)
    head = LanguageModelHead(encoder.config.hidden_size, len(encoder.vocabulary), 1e-5).eval().requires_grad_(False)
    return LanguageModel(encoder, head, budget=4 * 16 + 1)


def masked(model, start=0):
    return list(masked_log_probabilities(model, model.tokens(PROTEIN, "prot"), start=start))


def test_each_row_is_that_of_a_pass_by_itself(model):
    batches = masked(model)
    assert [(batch.start, batch.stop) for batch in batches] == [(0, 4), (4, 8), (8, 12), (12, 14)]
    tokens = model.tokens(PROTEIN, "prot")
    for position, row in enumerate(np.concatenate([batch.rows for batch in batches])):
        ids = torch.from_numpy(tokens.ids.copy())
        ids[position + 1] = model.encoder.vocabulary.mask_id
        hidden = model.encoder(ids, torch.ones_like(ids), [len(ids)])
        expected = model.head(hidden)[position + 1].double().log_softmax(0)
        np.testing.assert_allclose(row, expected, atol=1e-5)


def test_going_on_after_a_batch_gives_the_same_bits(model):
    whole = np.concatenate([batch.rows for batch in masked(model)])
    rest = np.concatenate([batch.rows for batch in masked(model, start=8)])
    np.testing.assert_array_equal(rest, whole[8:])


def test_a_lack_of_memory_halves_the_batch(model, monkeypatch):
    expected, forward = np.concatenate([batch.rows for batch in masked(model)]), model.encoder.forward

    def in_small_memory(ids, types, lengths):
        if len(lengths) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(ids, types, lengths)

    monkeypatch.setattr(model.encoder, "forward", in_small_memory)
    batches = masked(model)
    assert [batch.stop - batch.start for batch in batches] == [1] * len(PROTEIN)
    assert model.budget == 16
    np.testing.assert_allclose(np.concatenate([batch.rows for batch in batches]), expected, atol=1e-5)


def test_a_single_pass_that_does_not_fit_is_an_error(model, monkeypatch):
    def without_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.encoder, "forward", without_memory)
    with pytest.raises(DeviceError, match=r"one pass over 14 residues does not fit in memory \(CUDA out of memory\)"):
        masked(model)


def test_a_pass_reads_the_positions_that_it_names(model):
    tokens = model.tokens(PROTEIN, "prot")
    whole = unmasked_log_probabilities(model, tokens)
    (batch,) = model.logits(tokens, [Pass(read=(2, 5)), Pass()])
    exact = batch.rows.astype(float)
    exact -= np.log(np.exp(exact).sum(1, keepdims=True))
    np.testing.assert_allclose(exact, [*whole[[2, 5]], *whole], atol=1e-5)


def test_values_that_are_not_finite_are_an_error(model):
    model.head.decoder.bias[3] = torch.nan
    with pytest.raises(EmbeddingError, match="the logits of a sequence are not finite"):
        masked(model)


def test_another_type_is_refused(model):
    with pytest.raises(EmbeddingError, match="this checkpoint reads only gene and prot"):
        model.tokens(PROTEIN, "pair")
