"""records.tsv read in parts, and the columns that figures take from it."""

from __future__ import annotations

import pandas as pd
import pytest

from lucaflow.records.table import accepted_records


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_the_index_is_the_place_among_accepted_records(records, at_once):
    parts = list(accepted_records(records, ["id", "length"], at_once=at_once))
    assert len(parts) == -(-5 // at_once)
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
