"""Parts of rows that need no comparison of sequences, and what refuses them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from families import sequence, unrelated
from labelled_rows import rows_of

from lucaflow.errors import InputError
from lucaflow.training.division import divide
from lucaflow.training.mmseqs import Mmseqs
from lucaflow.training.splits import SplitOptions, column_parts, contradictions, group_parts, random_parts, write_splits

SEQUENCES = [sequence(text) for text in unrelated(400)]


def all_of(rows):
    return np.ones(len(rows), dtype=bool)


def test_random_parts_have_the_same_shares_of_each_label():
    rows = rows_of(SEQUENCES * 2, (["a"] * 200 + ["b"] * 150 + ["c"] * 47 + ["d"] * 3) * 2)
    parts = random_parts(rows, all_of(rows), SplitOptions("random", (0.7, 0.1, 0.2)))
    assert np.array_equal(parts[:400], parts[400:])
    counts = {label: [0, 0, 0] for label in "abcd"}
    for label, part in zip(rows.labels[:400], parts[:400], strict=True):
        counts[label][part] += 1
    assert counts["a"] == pytest.approx([140, 20, 40], abs=1)
    assert counts["b"] == pytest.approx([105, 15, 30], abs=1)
    assert counts["c"] == pytest.approx([33, 5, 9], abs=1)
    assert counts["d"][0] > 0
    alone = rows_of(SEQUENCES, [str(each) for each in range(400)])
    assert not random_parts(alone, all_of(alone), SplitOptions("random")).any()
    values = rows_of(SEQUENCES, [str(each) for each in range(400)], regression=True)
    assert Counter(random_parts(values, all_of(values), SplitOptions("random")).tolist()) == {0: 320, 1: 40, 2: 40}


def test_rows_of_several_labels_are_divided_by_the_rarest():
    sets = [frozenset({"common", "rare" if number < 100 else "other"}) for number in range(200)]
    rows = replace(rows_of(SEQUENCES[:200], [str(number) for number in range(200)]), classes=sets)
    parts = random_parts(rows, all_of(rows), SplitOptions("random"))
    assert [int((parts[:100] == part).sum()) for part in range(3)] == pytest.approx([80, 10, 10], abs=1)


def test_labels_contradict_each_other_by_their_values():
    pair = [SEQUENCES[0], SEQUENCES[0]]
    assert contradictions(rows_of(pair, ["1", "1.0"], regression=True)).tolist() == [False, False]
    assert contradictions(rows_of(pair, ["1", "1.1"], regression=True)).tolist() == [True, True]
    both = [frozenset({"a", "b"}), frozenset({"b", "a"})]
    assert not contradictions(replace(rows_of(pair, ["a;b", "b;a"]), classes=both)).any()


def test_one_more_row_moves_one_other_at_each_end_of_a_random_part_at_most():
    before, after = (rows_of(SEQUENCES[:count], ["a"] * count) for count in (300, 301))
    parts = [random_parts(rows, all_of(rows), SplitOptions("random")) for rows in (before, after)]
    assert (parts[0] != parts[1][:300]).sum() <= 2


def test_groups_stay_together_and_those_that_share_a_sequence_too():
    groups = [f"g{number % 100}" for number in range(400)]
    rows = rows_of([*SEQUENCES, SEQUENCES[0]], ["a"] * 401, [*groups, "g7"])
    parts, names = group_parts(rows, SplitOptions("group"))
    for group in range(100):
        assert len({*parts[:400][group::100]}) == 1
    assert parts[0] == parts[7] == parts[400]
    assert names[0] == names[7] == "g0"
    assert Counter(parts.tolist())[0] == pytest.approx(320, abs=50)


def test_a_column_decides_but_what_tests_never_trains():
    column = ["train", "Valid", "tst", "", "train", "dev"]
    rows = rows_of([*SEQUENCES[:4], SEQUENCES[2], SEQUENCES[1]], ["a"] * 6, column)
    parts, reasons = column_parts(rows)
    assert parts.tolist()[:3] == [0, 1, 2]
    assert reasons.tolist() == ["", "", "", "no part in split_column", "the same in test", ""]


def test_all_that_is_wrong_is_said_at_once_and_before_anything_is_computed(tmp_path):
    rows = rows_of([SEQUENCES[0], SEQUENCES[0], SEQUENCES[1]], ["a", "b", "a"], ["train", "tran", "test"])
    with pytest.raises(InputError) as raised:
        divide(rows, SplitOptions("column", (0.5, 0.1, 0.1)), Mmseqs(tmp_path / "none"), tmp_path / "x", "mine.csv")
    assert str(raised.value).splitlines() == [
        "mine.csv cannot be divided into train, dev and test:",
        "- 2 rows of a sequence that has another label elsewhere: row0 ('a'), row1 ('b'). Correct them, or set "
        "split.contradictions to `drop` to leave them all out.",
        "- split.fractions are [0.5, 0.1, 0.1]; they must be above 0 and add up to 1.",
        "- split_column has 'tran' (1 row). Expected are train, dev and test, or nothing.",
    ]
    with pytest.raises(InputError, match=r"split\.method is `group`, but group_column names no column"):
        divide(rows_of(SEQUENCES[:2], ["a", "a"]), SplitOptions("group"), Mmseqs(tmp_path), tmp_path / "x")
    with pytest.raises(InputError, match="group_column is empty in 1 row: row1"):
        divide(rows_of(SEQUENCES[:2], ["a", "a"], ["g", ""]), SplitOptions("group"), Mmseqs(tmp_path), tmp_path / "x")


def test_empty_parts_and_classes_without_training_rows_are_refused_together(tmp_path):
    rows = rows_of(SEQUENCES[:4], ["a", "b", "a", "c"], ["train", "test", "test", "test"])
    with pytest.raises(InputError) as raised:
        divide(rows, SplitOptions("column"), Mmseqs(tmp_path / "none"), tmp_path / "x")
    assert "- dev has no rows (train: 1, dev: 0, test: 3)." in str(raised.value)
    assert "- train has no rows of 'b' (1 row elsewhere), 'c' (1 row elsewhere)." in str(raised.value)


def test_contradicting_rows_are_left_out_if_that_is_asked_for(mmseqs, tmp_path):
    rows = rows_of([*SEQUENCES[:40], SEQUENCES[0]], ["a"] * 40 + ["b"])
    split = divide(rows, SplitOptions("random", contradictions="drop"), mmseqs, tmp_path / "x")
    assert split.parts[0] == split.parts[40] == "left_out"
    assert "Left out: 2 rows, another label elsewhere." in split.notes
    write_splits(tmp_path / "splits.tsv", rows, split)
    lines = (tmp_path / "splits.tsv").read_text().splitlines()
    assert lines[0] == "id\tsplit\tcluster\tlabel\tdigest\treason"
    assert lines[1] == f"row0\tleft_out\t\ta\t{SEQUENCES[0].digest}\tanother label elsewhere"
    assert {line.split("\t")[2] != "" for line in lines[1:] if line.split("\t")[1] == "test"} == {True}
