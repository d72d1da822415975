"""Groups without labels: those that are there are found, numbered by size, and their stability is told."""

from __future__ import annotations

import numpy as np
import pytest

from lucaflow.neighbours.groups import _largest_jaccard, group


def units(*sizes: int, noise: int = 0) -> np.ndarray:
    random = np.random.default_rng(0)
    centres = np.repeat(np.eye(30)[: len(sizes)] * 4, sizes, axis=0)
    vectors = np.concatenate([centres, np.zeros((noise, 30))]) + random.normal(size=(sum(sizes) + noise, 30)) / 2
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_groups_are_found_and_the_largest_is_the_first():
    found = group(units(20, 60, 40))
    assert found.number.tolist() == [2] * 20 + [0] * 60 + [1] * 40
    assert found.stability.min() > 0.9
    assert found.agreement > 0.9
    assert found.sentence().startswith("HDBSCAN finds 3 groups with 120 of 120 sequences. Samples of 80% of the seq")
    assert (found.membership > 0).all()


def test_the_same_vectors_have_the_same_groups():
    vectors = units(15, 12, noise=30)
    one, other = group(vectors), group(vectors.copy())
    assert np.array_equal(one.number, other.number)
    assert one.agreement == other.agreement


def test_too_few_for_groups():
    for count in (0, 1, 9):
        found = group(units(count))
        assert (found.number == -1).all()
        assert found.sentence() == f"HDBSCAN finds no groups among {count} sequences."


def test_stability_is_the_largest_share_of_a_group_that_is_found_again():
    number = np.array([0, 0, 0, 0, 1, 1, -1])
    assert _largest_jaccard(number, np.array([0, 0, 1, -1, 2, 2, 2]), 2).tolist() == [0.5, pytest.approx(2 / 3)]
    assert _largest_jaccard(number, np.full(7, -1), 2).tolist() == [0, 0]
