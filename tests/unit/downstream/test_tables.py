"""The cells of predictions, and their comparison with labels."""

import numpy as np
import pandas as pd
import pytest

from lucaflow.downstream.evaluation import compare, evaluate
from lucaflow.downstream.lucaonetasks import Task
from lucaflow.downstream.prediction import KeptPredictions
from lucaflow.downstream.tables import Formatter


def formatter(task_type, labels, threshold=0.5, topk=None):
    return Formatter(Task("T", "gene", task_type, "luca_base", "20240101000000", "1"), labels, threshold, topk)


def cells(task_type, labels, outputs, threshold=0.5, topk=None):
    kept = KeptPredictions(1, task_type, len(outputs), topk)
    kept.put(slice(None), np.array([outputs], dtype=np.float32))
    return formatter(task_type, labels, threshold, topk).cells(*kept.of(0))


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


def table(truth, labels, probs=None):
    probs = probs or ["0.9"] * len(labels)
    return pd.DataFrame({"prob": probs, "label": labels, "ground_truth": truth}, dtype=str)


def test_labels_are_names_or_numbers_of_classes():
    by_name = compare(table(["b", "a", "x"], ["b", "b", "a"]), "multi_class", ["a", "b"])
    by_number = compare(table(["1", "0", "7"], ["b", "b", "a"]), "multi_class", ["a", "b"])
    for found in (by_name, by_number):
        assert (found.truth.tolist(), found.predicted.tolist(), found.not_compared) == ([1, 0], [1, 1], 1)


def test_numbers_of_classes_are_told_from_names_that_are_numbers():
    by_number = compare(table(["0", "1", "2"], ["1", "2", "3"]), "multi_class", ["1", "2", "3"])
    by_name = compare(table(["1", "2", "3"], ["1", "2", "3"]), "multi_class", ["1", "2", "3"])
    assert by_number.truth.tolist() == by_name.truth.tolist() == [0, 1, 2]


def test_names_with_quotes_and_commas_are_names():
    names = ["5'-nucleotidase", "b, c", 'say "d"']
    found = compare(table([str(names[:2]), "b, c", "[7]", "foo", "[]"], [str(names)] * 5), "multi_label", names)
    assert found.truth.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert found.predicted.tolist() == [[1, 1, 1]] * 3
    assert found.not_compared == 2


def test_metrics_have_intervals():
    truth, labels = ["1", "0"] * 50, ["1", "0", "1", "1"] * 25
    probs = [{"1": "0.9", "0": "0.2"}[label] for label in labels]
    found = evaluate(compare(table(truth, labels, probs), "binary_class", ["0", "1"]), "binary_class").set_index(
        "metric"
    )
    assert found.loc["accuracy", "value"] == 0.75
    assert 0.6 < found.loc["accuracy", "low"] < 0.75 < found.loc["accuracy", "high"] < 0.9
    assert found.loc["recall", "value"] == 1
    assert (found["rows"] == 100).all()


def test_intervals_of_large_tables_are_those_of_all_their_rows():
    """Of 200,000 rows, 80 % right, the interval of the accuracy is 0.8 +- 1.96 sqrt(0.8 * 0.2 / 200,000)."""
    truth, labels = ["1", "0", "1", "0", "1"] * 40_000, ["1", "0", "1", "0", "0"] * 40_000
    found = evaluate(compare(table(truth, labels), "multi_class", ["0", "1"]), "multi_class").set_index("metric")
    assert found.loc["accuracy", "value"] == pytest.approx(0.8)
    for end, sign in (("low", -1), ("high", 1)):
        assert found.loc["accuracy", end] == pytest.approx(0.8 + sign * 0.00175, abs=3e-4)


def test_values_and_sets_are_compared():
    regression = evaluate(
        compare(table(["1", "2", "nothing"], ["", "", ""], ["1.5", "2.5", "3"]), "regression", []), "regression"
    ).set_index("metric")
    assert regression.loc["mean absolute error", "value"] == 0.5
    assert regression.loc["mean absolute error", "not_compared"] == 1
    sets = compare(table(["a;b", "['b']", ""], ["['a', 'b']", "['a']", "['a']"]), "multi_label", ["a", "b"])
    assert (sets.truth.tolist(), sets.predicted.tolist(), sets.not_compared) == ([[1, 1], [0, 1]], [[1, 1], [1, 0]], 1)
    assert evaluate(sets, "multi_label").set_index("metric").loc["micro F1", "value"] == pytest.approx(2 / 3)


def test_nothing_to_compare_is_said():
    nothing = compare(table(["x"], ["a"]), "multi_class", ["a", "b"])
    assert evaluate(nothing, "multi_class")["value"].isna().all()
