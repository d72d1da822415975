"""records.tsv read in parts, and the columns that figures take from it."""

from __future__ import annotations

import pandas as pd
import pytest

from lucaflow.records.table import accepted_records, columns_of_numbers, numbers_of


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


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_further_columns_find_their_records(records, at_once):
    further = records.with_name("columns.tsv")
    further.write_text('record\tgroup\tscore\n1\t"a ""b"""\t\n4\t\t2\n5\tc\t1e-3\n')
    found = pd.concat(accepted_records(records, ["id"], None, at_once, further))
    assert found["group"].fillna("-").tolist() == ['a "b"', "-", "c"]
    assert columns_of_numbers(further, at_once) == {"group": False, "score": True}
    further.write_text("record\n")
    assert list(pd.concat(accepted_records(records, ["id"], None, at_once, further))) == ["id"]


def test_numbers_of_texts():
    assert numbers_of(pd.Series(["1", " -2.5", "", "NA", None])).fillna(0).tolist() == [1, -2.5, 0, 0, 0]
    assert numbers_of(pd.Series(["1", "x"])) is None
    for name in ("007", "1E5", "9007199254740993"):
        assert numbers_of(pd.Series(["1", name])) is None
    assert numbers_of(pd.Series(["1", "inf"])) is None
