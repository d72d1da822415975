"""The cells of tables of predictions."""

import csv

import numpy as np
import pandas as pd
import pytest

from lucaflow.downstream.lucaonetasks import Task
from lucaflow.downstream.prediction import OutputRows, Predictions, Sides
from lucaflow.downstream.residues import spread_evenly
from lucaflow.downstream.tables import Formatter, LabelledSource, write_predictions
from lucaflow.records.outcomes import Policies
from lucaflow.records.readers import Columns, read_records
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset


def formatter(task_type, labels, threshold=0.5, topk=None):
    return Formatter(Task("T", "gene", task_type, "luca_base", "20240101000000", "1"), labels, threshold, topk)


def cells(task_type, labels, outputs, threshold=0.5, topk=None):
    rows = OutputRows(1, task_type, len(outputs), topk)
    rows.put(slice(None), np.array([outputs], dtype=np.float32))
    return formatter(task_type, labels, threshold, topk).cells(*rows.of(0))


def test_the_threshold_itself_counts():
    assert cells("binary_class", ["no", "yes"], [0.7], threshold=0.7)[1] == "yes", "in float32"
    assert cells("binary_class", ["no", "yes"], [0.5]) == [0.5, "yes"]
    assert cells("binary_class", ["no", "yes"], [0.5], threshold=0.51) == [0.5, "no"]
    assert cells("multi_label", ["a", "b", "c"], [0.5, 0.2, 0.75]) == ["[0.5, 0.75]", "['a', 'c']"]
    assert cells("multi_label", ["a"], [0.2]) == ["[]", "[]"]


def test_of_equal_classes_the_first_counts_and_in_a_list_the_last():
    assert cells("multi_class", ["a", "b", "c"], [0.25, 0.375, 0.375]) == [0.375, "b"]
    listed = cells("multi_class", ["a", "b", "c"], [0.25, 0.375, 0.375], topk=2)
    assert listed == [0.375, "c", "[0.375, 0.375]", "['c', 'b']"]


def test_numbers_are_written_as_lucaonetasks_does():
    prob, label = cells("regression", [], [2.195809])
    assert (repr(prob), label) == ("2.1958088874816895", "2.195809")
    assert repr(cells("binary_class", ["0", "1"], [1e-8])[0]) == "9.99999993922529e-09"


@pytest.mark.parametrize(
    ("topk", "columns"),
    [(None, ["prob", "label"]), (1, ["prob", "label"]), (7, ["top1_prob", "top1_label", "top7_probs", "top7_labels"])],
)
def test_columns(topk, columns):
    assert formatter("multi_class", ["a", "b"], topk=topk).columns == ["seq_id", "seq", *columns]
    assert formatter("regression", [], topk=topk).columns == ["seq_id", "seq", "prob", "label"]


def test_what_a_spreadsheet_takes_for_a_formula_is_kept(tmp_path):
    """In records.tsv and in both tables of predictions: ids and labels are data. Only truths are called so."""
    cells = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")']
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as lines:
        rows = [(cell, "ACGT", cell) for cell in cells]
        csv.writer(lines).writerows([("id", "seq", "kind"), *rows, ("=drop", "", "")])
    columns = Columns(sequence="seq", label="kind")
    files = NormalisedFiles(*(tmp_path / "out" / name for name in "rslcp"))
    normalise_dataset(read_records(path, columns), path, "gene", Policies(empty_sequences="drop"), files)
    outputs = OutputRows(len(cells), "binary_class", 1, None)
    outputs.put(slice(None), np.full((len(cells), 1), 0.5, dtype=np.float32))
    sides = Sides(np.full((len(cells), 1), "gene"), np.ones(len(cells), dtype=bool))
    tables = tmp_path / "good.csv", tmp_path / "failed.csv"
    found = Predictions(sides, outputs, np.arange(len(cells)))
    source = LabelledSource(path, columns, files.records, files.labels, "error")
    assert [*source.all_labels()] == cells
    write_predictions(*tables, source, found, formatter("binary_class", cells[:2]), cells[1:].__contains__)
    with files.records.open(newline="") as lines:
        assert [row["id"] for row in csv.DictReader(lines, delimiter="\t")] == [*cells, "=drop"]
    predicted, failed = (list(csv.DictReader(table.open(newline=""))) for table in tables)
    assert [(row["seq_id"], row["ground_truth"], row["label"]) for row in predicted] == [
        (c, c if c != cells[0] else "", "+1") for c in cells
    ]
    assert [row["seq_id"] for row in failed] == ["=drop"]


def test_residues_that_are_compared_are_spread_evenly():
    table = pd.DataFrame({"prob": ["[0.1, 0.2, 0.3]"] * 100, "label": ['["a", "b", "a"]'] * 100, "name": range(100)})
    found = spread_evenly(table, most=30)
    assert found["name"].tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert len(spread_evenly(table)) == 100
    labelled = spread_evenly(table.assign(ground_truth=["", "aba"] * 50))
    assert labelled["name"].tolist() == list(range(1, 100, 2))
    assert len(spread_evenly(table.assign(ground_truth=""))) == 100
