"""The search finds the neighbours that a sort of all similarities finds, by any blocks, with bounded memory."""

from __future__ import annotations

import tracemalloc

import h5py
import numpy as np
import pytest

from lucaflow.neighbours.products import OnProcessor
from lucaflow.neighbours.search import NONE, Reference, nearest, search, unit_vectors


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


@pytest.mark.parametrize(
    ("tile", "part", "block_bytes"), [(3, 2, 1), (7, 64, 500), (64, 5, 10**6), (4096, 4096, 10**6)]
)
def test_blocks_do_not_change_what_is_found(tile, part, block_bytes):
    vectors = random(100)
    found = nearest(vectors, 5, products=OnProcessor(tile=tile, part=part, block_bytes=block_bytes))
    rows, similarity = by_sorting(vectors, 5)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.similarity, similarity, atol=1e-6)


@pytest.mark.parametrize("width", [4, 64])
def test_memory_is_bounded_whatever_the_width(width):
    vectors = random(20_000, width=width)
    tracemalloc.start()
    nearest(vectors, 2, products=OnProcessor(part=512, block_bytes=2_000_000))
    assert tracemalloc.get_traced_memory()[1] < 12_000_000
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


@pytest.mark.parametrize(("copies", "tile"), [(6, 2), (6, 5), (6, 1024), (400, 137), (400, 1024)])
def test_equal_vectors_are_in_the_order_of_their_ranks_whatever_the_blocks(copies, tile):
    """Also where products in float32 differ in their last digits by the place of a vector in a block."""
    vectors = np.tile(random(4, width=301), (copies, 1))
    products = OnProcessor(tile=tile, part=tile + 1)
    found = nearest(vectors, 3, products=products)
    assert found.rows[0].tolist() == [4, 8, 12]
    assert found.rows[4].tolist() == [0, 8, 12]
    last_first = nearest(vectors, 3, rank=np.arange(len(vectors))[::-1], products=products)
    assert last_first.rows[0].tolist() == [len(vectors) - place for place in (4, 8, 12)]
    assert (last_first.similarity == 1).all()


def test_nearly_equal_vectors_are_ordered_by_more_than_products_in_float32_say():
    """Similarities that differ by some millionths, as those of near copies do."""
    middle = random(1, width=2560)
    vectors = middle + np.linspace(0, 0.02, 300)[:, None] * random(1, width=2560, seed=1)
    vectors = np.concatenate([vectors, random(300, width=2560, seed=2)]).astype(np.float32)
    found = nearest(vectors, 20)
    rows, similarity = by_sorting(vectors, 20)
    np.testing.assert_allclose(found.similarity, similarity, atol=1.1e-6)
    # Rounded to a millionth: as close, if not the same.
    shuffled = nearest(vectors, 20, products=OnProcessor(tile=13, part=64))
    np.testing.assert_array_equal(found.rows, shuffled.rows)
    assert (found.rows == rows).mean() > 0.5


def test_a_search_goes_on_where_another_ended():
    vectors = random(200)
    reference, products = Reference.of(vectors), OnProcessor(tile=16)
    units, own = unit_vectors(vectors, reference.centre), np.arange(200)
    keys = np.full((200, 4), NONE)
    ends = search(units, own, reference, keys, products)
    assert [next(ends) for _ in range(5)][-1] == 80
    assert [*search(units, own, reference, keys, products, start=80)][-1] == 200
    np.testing.assert_array_equal(reference.neighbours(keys).rows, nearest(vectors, 4).rows)


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
