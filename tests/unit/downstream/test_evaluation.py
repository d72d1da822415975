"""The comparison of predictions with labels."""

import pandas as pd
import pytest

from lucaflow.downstream.evaluation import compare, evaluate


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    """The ends of the intervals are asserted to a tenth of their width, which a tenth of the samples shows too."""
    monkeypatch.setattr("lucaflow.downstream.evaluation._RESAMPLES", 50)


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
