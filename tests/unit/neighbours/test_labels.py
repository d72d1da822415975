"""Labels of neighbours: votes, how often they are right, intervals, and how composition and chance do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lucaflow.neighbours.labels import (
    Vote,
    agreement,
    by_permuted_labels,
    composition,
    labels_of_sequences,
    precision_by_similarity,
    vote,
)
from lucaflow.neighbours.search import Neighbours, nearest


def test_a_sequence_with_contradictory_labels_has_none():
    labels = pd.Series(["b", "a", "", "a", "b", ""])
    codes, names, contradictory = labels_of_sequences(labels, np.array([0, 1, 1, 2, 2, 3]), 4)
    assert names == ["a", "b"]
    assert codes.tolist() == [1, 0, -1, -1]
    assert contradictory == 1


def test_most_votes_win_and_of_equally_many_the_nearest():
    rows = np.array([[0, 1, 2, 3], [3, 0, 1, 4], [4, -1, -1, -1]])
    similarity = np.array([[0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7, 0.6], [0.5, np.nan, np.nan, np.nan]], np.float32)
    found = vote(Neighbours(rows, similarity), np.array([7, 8, 8, 7, -1]))
    assert found.label.tolist() == [7, 7, -1]
    assert found.votes.tolist() == [2, 2, 0]
    assert found.of.tolist() == [4, 3, 0]
    np.testing.assert_allclose(found.similarity, [0.9, 0.9, np.nan], rtol=1e-6)
    assert vote(Neighbours(rows, similarity), np.array([7, 8, 8, 9, -1])).label.tolist() == [8, 9, -1]


def test_precision_is_stated_for_thirty_sequences_and_more():
    similarity = np.array([0.95] * 40 + [0.85] * 29 + [1.0, -1.0], np.float32)
    labels = np.zeros(71, dtype=int)
    suggested = np.array([0] * 30 + [1] * 10 + [0] * 31)
    found = precision_by_similarity(Vote(suggested, similarity, labels, labels), labels)
    assert (
        found.at(np.array([0.93, 1.0, 0.87, -1.0])).tolist()
        == [pytest.approx(31 / 41)] * 2 + [pytest.approx(np.nan, nan_ok=True)] * 2
    )
    assert found.count.sum() == 71
    assert np.isnan(found.at(np.array([np.nan])))


def test_a_balanced_share_counts_each_label_once():
    right, labels = np.array([True] * 90 + [False] * 10), np.array([0] * 90 + [1] * 10)
    plain, balanced = agreement(right, labels), agreement(right, labels, balanced=True)
    assert (plain.value, balanced.value) == (0.9, 0.5)
    assert plain.low == pytest.approx(0.84, abs=0.02)
    assert plain.high == pytest.approx(0.95, abs=0.02)
    assert plain == agreement(right, labels), "the same samples are drawn again"
    assert np.isnan(agreement(right[:0], labels[:0]).value)


def test_labels_dealt_at_random_are_right_by_chance():
    vectors = np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float32)
    labels = (vectors[:, 0] > 0).astype(int)
    neighbours = nearest(vectors, 9)
    assert (vote(neighbours, labels).label == labels).mean() > 0.9
    right, dealt = by_permuted_labels(neighbours, labels)
    assert right.mean() == pytest.approx(0.5, abs=0.05)
    assert sorted(dealt) == sorted(labels)


def test_by_chance_the_largest_group_is_right_and_each_label_counts_once_in_the_balanced_share():
    vectors = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    labels = np.repeat([0, 1, 2, 3], [700, 100, 100, 100])
    of_chance = by_permuted_labels(nearest(vectors, 10), labels)
    assert agreement(*of_chance).value == pytest.approx(0.7, abs=0.05)
    assert agreement(*of_chance, balanced=True).value == pytest.approx(0.25, abs=0.05)


def test_composition_leaves_out_words_with_unknown_letters():
    assert composition(["ACGTN", "N"], "ACGT", 3).sum(1).tolist() == [1, 0]
    (found,) = composition(["ACACA"], "AC", 2)
    assert found.tolist() == [0, 0.5, 0.5, 0]
