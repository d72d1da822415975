"""The heat map of similarities: sequences are in the order of the tree, with the colours of their labels."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from lucaflow.report.similarity import _draw_tree, draw_similarity


def units(count: int) -> np.ndarray:
    """Vectors of three kinds that take turns."""
    vectors = np.eye(3)[np.arange(count) % 3] + np.random.default_rng(0).normal(size=(count, 3)) / 20
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_similar_sequences_are_beside_each_other():
    vectors = units(30)
    order = _draw_tree(Figure().subplots(), vectors @ vectors.T)
    assert sorted(order) == list(range(30))
    kinds = (order % 3).tolist()
    assert sum(one != other for one, other in pairwise(kinds)) == 2


@pytest.mark.parametrize("count", [1, 2, 3, 40, 80])
def test_few_and_many_are_drawn(tmp_path, count):
    ids = [f"id_{number}$" for number in range(count)]
    labels = ["", *["kinase"] * (count - 1)]
    draw_similarity(units(count), ids, labels, "d", "similarity", tmp_path / "similarity.png")
    svg = (tmp_path / "similarity.svg").read_text()
    assert ("id_0$" in svg) == (count <= 60)
    assert ("kinase" in svg) == (count > 1)
    assert (tmp_path / "similarity.png").stat().st_size > 5_000
