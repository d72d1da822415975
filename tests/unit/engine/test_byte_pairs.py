"""Rows that are tokens of several letters: their order, letters and means, in batches, windows and cut sequences."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from golden_cases import PACKAGED

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import ConfigError
from lucaflow.records.sequences import NormalisedSequence

TOLERANCE = {"atol": 2e-5, "rtol": 1e-5}
_rng = random.Random(3)
GENES = [
    NormalisedSequence(str(length).zfill(64), "gene", "".join(_rng.choices("ACGTNU", [5, 5, 5, 5, 1, 1], k=length)))
    for length in (190, 120, 101, 100, 37, 2, 1)
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    model, folder = Model("ours", None), tmp_path_factory.mktemp("converted")
    convert(locate(PACKAGED / "encoders/checkpoints/D2", model), folder)
    return load_encoder(folder)


def embedded(encoder, sequences, budget=10_000, **options):
    """Return the matrix, spans, mean, max and cls of each sequence."""
    engine = Engine(
        encoder, EmbeddingOptions(outputs=("mean", "max", "cls", "matrix"), **options), torch.device("cpu"), budget
    )
    found = [{} for _ in sequences]
    for batch in engine.embed(sequences):
        for piece in batch.pieces:
            shape = (piece.total_rows, piece.rows.shape[1])
            array = found[piece.sequence].setdefault(piece.output, np.zeros(shape, piece.rows.dtype))
            array[piece.start_row : piece.start_row + len(piece.rows)] = piece.rows
        for place, sequence in enumerate(batch.sequences):
            found[sequence] |= {name: values[place] for name, values in batch.vectors.items()}
            found[sequence]["residues"] = batch.residues_embedded[place]
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], **TOLERANCE)


def test_batches_change_nothing(encoder):
    alone = [embedded(encoder, [gene])[0] for gene in GENES]
    for budget in (1, 60, 10_000):
        for found, expected, gene in zip(embedded(encoder, GENES, budget), alone, GENES, strict=True):
            assert_same(found, expected)
            assert (found["spans"][0, 0], found["spans"][-1, 1]) == (0, len(gene.residues))
            assert len(found["matrix"]) == len(found["spans"]) < len(gene.residues) or len(gene.residues) < 3
            np.testing.assert_allclose(found["mean"], found["matrix"].mean(0), **TOLERANCE)
            np.testing.assert_array_equal(found["max"], found["matrix"].max(0))


@pytest.mark.parametrize("special", [False, True])
def test_each_window_is_divided_into_tokens_by_itself(encoder, special):
    options = {"embedding_fixed_len_a_time": 50, "stitching": "separate", "matrix_add_special_token": special}
    gene = GENES[1]
    (found,) = embedded(encoder, [gene], 40, **options)
    parts = [NormalisedSequence("0" * 64, "gene", gene.residues[start : start + 40]) for start in (0, 40, 80)]
    alone = embedded(encoder, parts)
    rows = slice(1, -1) if special else slice(None)
    np.testing.assert_allclose(found["matrix"][rows], np.concatenate([each["matrix"] for each in alone]), **TOLERANCE)
    shifted = [each["spans"] + 40 * number for number, each in enumerate(alone)]
    np.testing.assert_array_equal(found["spans"][rows], np.concatenate(shifted))
    np.testing.assert_allclose(found["mean"], found["matrix"][rows].mean(0), **TOLERANCE)
    np.testing.assert_allclose(found["cls"], alone[0]["cls"], **TOLERANCE)
    assert found["residues"] == 120
    if special:
        np.testing.assert_allclose(found["matrix"][0], alone[0]["cls"], **TOLERANCE)
        assert (found["spans"][0].tolist(), found["spans"][-1].tolist()) == ([0, 0], [120, 120])


@pytest.mark.parametrize(("side", "first"), [("right", 0), ("left", 60)])
def test_letters_of_a_shortened_sequence_are_counted_in_the_whole(encoder, side, first):
    options = {"embedding_complete": False, "truncation_seq_length": 60, "trunc_type": side}
    (found,) = embedded(encoder, GENES[1:2], **options)
    part = NormalisedSequence("0" * 64, "gene", GENES[1].residues[first : first + 60])
    (alone,) = embedded(encoder, [part])
    np.testing.assert_array_equal(found["spans"], alone["spans"] + first)
    np.testing.assert_allclose(found["matrix"], alone["matrix"], **TOLERANCE)
    assert found["residues"] == 60


@pytest.mark.parametrize("stitching", ["lucaone", "centered"])
def test_windows_that_overlap_are_refused(encoder, stitching):
    with pytest.raises(ConfigError, match=f"embedding.stitching is `{stitching}`, whose windows overlap, but a row of"):
        embedded(encoder, GENES, embedding_fixed_len_a_time=50, stitching=stitching)
