"""Columns by which the points of a map are coloured."""

import numpy as np
import pandas as pd
import pytest

from lucaflow.report.colours import NONE, OTHER
from lucaflow.report.columns import (
    MOST_CHARACTERS,
    MOST_LABELS,
    MOST_NUMBERED_LABELS,
    Numbers,
    Texts,
    column_of,
    read_columns,
    texts_of,
)


def table(tmp_path, text):
    path = tmp_path / "columns.tsv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1.5", "", "-2e3"], Numbers),
        (["7", "7"], Numbers),
        (["0", "0.5"], Numbers),
        (["1", "two"], Texts),
        (["007", "12"], Texts),
        (["1", "nan", "NA"], Numbers),
        (["1", "inf"], Texts),
        (["1_000"], Texts),
        (["", ""], Texts),
    ],
)
def test_a_column_is_of_numbers_if_every_text_is_one(texts, kind):
    assert isinstance(column_of("c", pd.Series(texts)), kind)


@pytest.mark.parametrize("different", [MOST_NUMBERED_LABELS, MOST_NUMBERED_LABELS + 1])
def test_few_different_numbers_are_names_of_groups(different):
    column = column_of("label", pd.Series([str(i) for i in range(different)] * 9), MOST_NUMBERED_LABELS)
    assert isinstance(column, Numbers) == (different > MOST_NUMBERED_LABELS)


def test_numbers_keep_their_points_and_their_scale():
    column = column_of("c", pd.Series(["3", "", "100"], index=[5, 2, 9]))
    np.testing.assert_array_equal(column.values, [3, np.nan, 100])
    assert (column.bounds, column.is_wide) == ((3, 100), True)
    assert not column_of("c", pd.Series(["-1", "100"])).is_wide
    assert column_of("c", pd.Series(["4"])).bounds == (4, 5)


def test_groups_are_the_most_frequent_texts_then_the_rest():
    texts = [f"t{i:02d}" for i in range(MOST_LABELS + 2) for _ in range(30 - i)] + ["", OTHER]
    column = texts_of("c", pd.Series(texts))
    groups = column.groups()
    assert [group.label for group in groups] == [*(f"t{i:02d}" for i in range(MOST_LABELS)), OTHER, NONE]
    assert len(groups[-2].points) == 11 + 10 + 1
    for group in groups[:MOST_LABELS]:
        assert {texts[point] for point in group.points} == {group.label}
    assert sorted(np.concatenate([group.points for group in groups])) == list(range(len(texts)))


def test_only_the_chosen_records_are_read(tmp_path):
    """In several parts; records without a row, texts as they are, and long ones cut."""
    rows = [
        f"{record}\tNA\t{'x' * (400 if record == 3 else 5)}\t{record}" for record in range(1, 200_001) if record % 2
    ]
    path = table(tmp_path, "record\ta\tb\ta b\n" + "\n".join(rows) + "\n")
    found = read_columns(path, pd.Series(["3", "4", "199999"], index=[0, 2, 7]))
    assert found.index.tolist() == [0, 2, 7]
    assert found["a"].tolist() == ["NA", "", "NA"]
    assert found["a b"].tolist() == ["3", "", "199999"]
    assert found["b"].tolist() == ["x" * (MOST_CHARACTERS - 1) + "…", "", "xxxxx"]


@pytest.mark.parametrize(("text", "columns"), [("record\n", []), ("record\tc\n", ["c"]), ("record\tc\n8\tx\n", ["c"])])
def test_tables_without_a_row_for_the_records(tmp_path, text, columns):
    found = read_columns(table(tmp_path, text), pd.Series(["1", "2"]))
    assert found.columns.tolist() == columns
    assert (len(found), (found == "").all(axis=None)) == (2, True)
