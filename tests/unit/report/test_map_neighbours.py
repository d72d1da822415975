"""What a map knows of the neighbours, groups and sequences of its points."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lucaflow.neighbours.datasets import Labelled, Searched
from lucaflow.neighbours.groups import Groups
from lucaflow.neighbours.search import Neighbours
from lucaflow.report import map_neighbours
from lucaflow.report.map_neighbours import Found, with_neighbours
from lucaflow.report.maps import Map

# Records a, b, c and d; c has the sequence of a.
DATASET = Labelled(
    np.array([*"abcd"], dtype=object), pd.Series([""] * 4), np.array([0, 1, 0, 2]), np.array(["A", "B", "C"]),
    np.full(3, -1), [],
)  # fmt: skip
NEIGHBOURS = Neighbours(np.array([[1, 2], [0, 2], [1, -1]]), np.array([[0.9, 0.8], [0.9, 0.7], [0.8, np.nan]]))
NOTHING = np.zeros((0, 2))


def searched(reference: Labelled) -> Searched:
    return Searched(
        DATASET, reference, NEIGHBOURS, np.zeros(2), np.zeros(0, int), NOTHING, Neighbours(NOTHING, NOTHING)
    )


def drawing(*records: int) -> Map:
    """A map of some records only."""
    points = pd.DataFrame({"id": DATASET.ids[[*records]]}, index=[*records])
    return Map(points, "d", "", ("x", "y"), pd.DataFrame({"group": "of the input"}, index=[*records]))


def test_neighbours_are_the_points_of_the_map():
    groups = Groups(np.array([0, 0, -1]), np.ones(3), np.ones(1), 1.0)
    found = with_neighbours(drawing(1, 2, 3), Found(searched(DATASET), groups, None, ("said",)), ["MK", "MW", "ML"])
    related = found.related
    assert related.names == ["a", "b", "d"]
    # The first point with the sequence of a is c.
    assert related.points.tolist() == [1, 0, 2]
    assert related.rows.tolist() == [[0, 2], [1, 2], [1, -1]]
    assert found.columns["group (neighbours)"].tolist() == ["G1", "G1", ""]
    assert [found.residues.texts[number] for number in found.residues.numbers] == ["MW", "MK", "ML"]
    assert found.remarks == ("said",)


def test_those_of_a_reference_are_no_points():
    other = Labelled(np.array([*"xyz"], dtype=object), pd.Series([""] * 3), np.arange(3), DATASET.digests,
                     np.full(3, -1), [])  # fmt: skip
    found = with_neighbours(drawing(0, 3), Found(searched(other), None, None, ()), None)
    assert found.related.names == ["y", "z"]
    assert found.related.points.tolist() == [-1, -1]
    assert found.related.rows.tolist() == [[0, 1], [0, -1]]
    assert found.residues is None


def test_sequences_that_are_too_long_for_a_page_are_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(map_neighbours, "MOST_LETTERS", 5)
    found = Found(searched(DATASET), None, None, ())
    assert with_neighbours(drawing(0, 2), found, ["MKVL", "M", "M"]).residues is not None
    assert with_neighbours(drawing(0, 1, 3), found, ["MKVL", "M", "M"]).residues is None
