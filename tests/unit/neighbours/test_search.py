"""The search finds the neighbours that a sort of all similarities finds, by any blocks, with bounded memory."""

from __future__ import annotations

import tracemalloc

import h5py
import numpy as np
import pytest

from lucaflow.neighbours import search
from lucaflow.neighbours.search import nearest


def by_sorting(vectors, k, reference=None):
    """Return the rows of the neighbours (Q, k) and their similarities, from the whole matrix in float64."""
    among = vectors if reference is None else reference
    centre = among.astype(np.float64).mean(0)
    left, right = ((x - centre) / np.linalg.norm(x - centre, axis=1, keepdims=True) for x in (vectors, among))
    similarity = left @ right.T
    if reference is None:
        np.fill_diagonal(similarity, -np.inf)
    rows = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(similarity, rows, axis=1)


def random(count, width=16, seed=0):
    # Far from zero, as embeddings are: their cosines without a centre are all near 1.
    return np.random.default_rng(seed).normal(5, 1, (count, width)).astype(np.float32)


@pytest.mark.parametrize("rows_at_once", [3, 7, 64, 4096])
def test_blocks_do_not_change_what_is_found(monkeypatch, rows_at_once):
    monkeypatch.setattr(search, "_ROWS_AT_ONCE", rows_at_once)
    monkeypatch.setattr(search, "_BYTES_AT_ONCE", 1)
    vectors = random(100)
    found = nearest(vectors, 5)
    rows, similarity = by_sorting(vectors, 5)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.similarity, similarity, atol=1e-6)


def test_memory_is_bounded_whatever_the_width(monkeypatch):
    monkeypatch.setattr(search, "_BYTES_AT_ONCE", 5_000_000)
    vectors = random(20_000, width=4)
    tracemalloc.start()
    nearest(vectors, 2)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_another_reference_in_a_file(tmp_path):
    vectors, reference = random(9), random(50, seed=1)
    reference[30] = vectors[4]
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["mean"] = reference
        found = nearest(vectors, 3, file["mean"])
        rows, similarity = by_sorting(vectors, 3, reference)
        np.testing.assert_array_equal(found.rows, rows)
        np.testing.assert_allclose(found.similarity, similarity, atol=1e-6)
        assert found.rows[4, 0] == 30
        own = np.full(9, -1)
        own[4] = 30
        assert 30 not in nearest(vectors, 50, file["mean"], own).rows[4]


def test_equally_similar_ones_are_in_the_order_of_the_reference(monkeypatch):
    vectors = np.tile(random(4), (6, 1))
    for rows_at_once in (2, 5, 64):
        monkeypatch.setattr(search, "_ROWS_AT_ONCE", rows_at_once)
        found = nearest(vectors, 3)
        assert found.rows[0].tolist() == [4, 8, 12]
        assert found.rows[4].tolist() == [0, 8, 12]


def test_fewer_than_are_asked_for():
    found = nearest(random(3), 5)
    assert (found.rows[:, 2:] == -1).all()
    assert np.isnan(found.similarity[:, 2:]).all()
    assert (found.rows[:, :2] >= 0).all()
    assert nearest(random(1), 2).rows.tolist() == [[-1, -1]]


def test_a_vector_like_the_mean_is_similar_to_none():
    found = nearest(np.array([[1.0, 1], [0, 0], [2, 2]], dtype=np.float32), 2)
    assert found.similarity[0].tolist() == [0, 0]


def test_another_width():
    with pytest.raises(ValueError, match="the vectors have 16 numbers, those of the reference 8"):
        nearest(random(2), 1, random(2, width=8))
