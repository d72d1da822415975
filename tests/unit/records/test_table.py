"""records.tsv read in parts, and the columns that figures take from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lucaflow.records.table import accepted_records
from lucaflow.report import maps
from lucaflow.report import predictions as prediction_figures

ROWS = [
    ("1", "a", "first", "prot", "a", "accepted", "5"),
    ("2", "a", "", "gene", "b", "accepted", "9"),
    ("3", "NA", "dropped", "prot", "a", "dropped", "0"),
    ("4", "a", "again", "prot", "a", "duplicate", "5"),
    ("5", "001", "last", "prot", "a", "accepted", "7"),
]
COLUMNS = ["record", "id", "description", "seq_type", "side", "status", "length"]


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "records.tsv"
    pd.DataFrame(ROWS, columns=COLUMNS).to_csv(path, sep="\t", index=False)
    return path


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_the_index_is_the_place_among_accepted_records(records, at_once):
    parts = list(accepted_records(records, ["id", "length"], at_once=at_once))
    assert len(parts) == -(-len(ROWS) // at_once)
    found = pd.concat(parts)
    assert found.index.tolist() == [0, 1, 2]
    assert found.to_numpy().tolist() == [["a", "5"], ["a", "9"], ["001", "7"]]


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_labels_find_their_records(records, at_once):
    """Records that were not accepted have labels too; an accepted record may have none."""
    labels = records.with_name("labels.tsv")
    labels.write_text("record\tlabel\n1\tx\n3\ty\n4\tz\n5\tw\n")
    found = pd.concat(accepted_records(records, ["id"], labels, at_once))
    assert found["label"].fillna("").tolist() == ["x", "", "w"]
    assert list(found) == ["id", "label"]


@pytest.mark.parametrize(
    ("labels", "expected"), [("5\tx\n", [maps.NONE, "x"]), ("", ["", ""]), ("3\tx\n4\tx\n", ["", ""])]
)
def test_what_a_map_says_of_its_points(records, labels, expected):
    path = records.with_name("labels.tsv")
    path.write_text(f"record\tlabel\n{labels}")
    found = maps.described(records, path, np.array([0, 2]))
    assert found.to_dict("list") == {"description": ["first", "last"], "length": [5, 7], "label": expected}


def test_what_a_page_says_of_predictions(records):
    """Ids are compared by type and side; records that were not accepted are ignored."""
    table = pd.DataFrame({"seq_id_a": ["a", "001"], "seq_id_b": ["a", "a"], "prob": [0.5, 0.7]})
    found = prediction_figures.described(table, records, ("prot", "gene"))
    assert found["description_a"].tolist() == ["first", "last"]
    assert found[["length_a", "length_b"]].to_numpy().tolist() == [["5", "9"], ["7", "9"]]
    assert "description_b" not in found
