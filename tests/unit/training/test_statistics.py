"""Scores, their intervals and their differences, by resampling clusters."""

import numpy as np
import pytest

from lucaflow.downstream.evaluation import Comparison, metrics_of
from lucaflow.errors import ConfigError
from lucaflow.training import metric_names, statistics
from lucaflow.training.statistics import score


def comparison_of(task_type, rows=400, right=0.7, seed=0):
    generator = np.random.default_rng(seed)
    if task_type == "regression":
        truth = generator.normal(5, 2, rows).round(1)
        predicted = (truth + generator.normal(0, 1, rows)).round(1)
        return Comparison(truth, predicted, predicted, 0)
    if task_type == "multi_label":
        truth = (generator.random((rows, 4)) < 0.4).astype(int)
        predicted = np.where(generator.random((rows, 4)) < right, truth, 1 - truth)
        return Comparison(truth, predicted, predicted, 0)
    classes = 2 if task_type == "binary_class" else 5
    truth = generator.integers(classes, size=rows)
    predicted = np.where(generator.random(rows) < right, truth, generator.integers(classes, size=rows))
    scores = np.clip(predicted * 0.4 + generator.random(rows) * 0.6, 0, 1).round(2)
    return Comparison(truth, predicted, scores, 0)


def rows_of(found, chosen):
    return Comparison(found.truth[chosen], found.predicted[chosen], found.scores[chosen], 0)


@pytest.mark.parametrize("task_type", ["binary_class", "multi_class", "multi_label", "regression"])
def test_metrics_of_resamples_are_those_of_the_rows_drawn(task_type):
    """The weights of clusters give the same as scikit-learn with the rows of those clusters, so often."""
    found = comparison_of(task_type)
    clusters = np.arange(400) // 4
    drawn = score({"model": found}, [f"{each:03}" for each in clusters], task_type, resamples=6)
    counts = next(statistics.draws(100, 400, 0, 6)).astype(int)
    for number in range(6):
        rows = rows_of(found, np.repeat(np.arange(400), counts[number][clusters]))
        for name, metric in metrics_of(task_type).items():
            wanted = metric(rows.truth, rows.predicted, rows.scores)
            assert drawn.drawn["model", name][number] == pytest.approx(wanted, abs=1e-9), name
    for name, metric in metrics_of(task_type).items():
        assert drawn.values["model", name] == pytest.approx(metric(found.truth, found.predicted, found.scores)), name


def test_clusters_make_intervals_wider_than_their_rows_would():
    """With 100 clusters of 100 equal rows, the interval of 0.8 is 0.8 +- 1.96 sqrt(0.8 * 0.2 / 100)."""
    truth = np.zeros(10_000, dtype=int)
    predicted = np.repeat(np.arange(100) % 5 == 0, 100).astype(int)
    found = score({"model": Comparison(truth, predicted, predicted, 0)}, np.arange(10_000) // 100, "multi_class")
    assert found.values["model", "accuracy"] == 0.8
    assert found.interval("model", "accuracy") == pytest.approx((0.8 - 0.0784, 0.8 + 0.0784), abs=0.012)


def test_differences_are_paired():
    """Two models that fail at the same rows but for a few differ clearly, though their intervals overlap."""
    truth = np.zeros(300, dtype=int)
    worse = (np.arange(300) % 3 == 0).astype(int)
    better = worse.copy()
    better[:24:3] = 0
    models = {name: Comparison(truth, said, said, 0) for name, said in (("better", better), ("worse", worse))}
    found = score(models, np.arange(300), "multi_class")
    assert found.interval("better", "accuracy")[0] < found.interval("worse", "accuracy")[1]
    difference = found.difference("better", "worse", "accuracy")
    assert difference.value == pytest.approx(8 / 300)
    assert difference.is_clear
    assert difference.low > 0.008
    same = found.difference("worse", "worse", "accuracy")
    assert (same.low, same.high, same.is_clear) == (0, 0, False)


def test_smaller_errors_are_better():
    truth = np.linspace(0, 1, 100)
    models = {"near": Comparison(truth, truth + 0.1, truth, 0), "far": Comparison(truth, truth - 0.3, truth, 0)}
    found = score(models, np.arange(100), "regression").difference("near", "far", "mean absolute error")
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))


@pytest.mark.parametrize(
    ("clusters", "certainty"), [(9, "none"), (10, "unreliable"), (29, "unreliable"), (30, "reliable")]
)
def test_few_clusters_have_unreliable_intervals_or_none(clusters, certainty):
    found = score({"model": comparison_of("multi_class")}, np.arange(400) % clusters, "multi_class", resamples=50)
    assert found.certainty == certainty
    assert np.isnan(found.interval("model", "accuracy")).all() == (certainty == "none")
    table = found.table("test").set_index("metric")
    assert table.loc["accuracy", ["rows", "clusters", "intervals"]].tolist() == [400, clusters, certainty]
    assert not found.difference("model", "model", "accuracy").is_clear


def test_macro_averages_run_over_classes_of_the_truth_with_enough_rows():
    """Class 2 has 4 rows, class 3 is only predicted; both are left out. Class 1 is left out of resamples without it."""
    truth = np.repeat([0, 1, 2], [60, 5, 4])
    predicted = np.where(np.arange(69) % 10 == 0, 3, truth)
    clusters = np.where(truth == 1, 99, np.arange(69))
    found = score({"model": Comparison(truth, predicted, predicted, 0)}, clusters, "multi_class", resamples=200)
    assert found.too_rare == (2,)
    assert found.values["model", "macro F1"] == pytest.approx(np.mean([2 * 54 / (60 + 54), 2 * 4 / (5 + 4)]))
    drawn = found.drawn["model", "balanced accuracy"]
    without = next(statistics.draws(65, 69, 0, 200))[:, -1] == 0
    assert drawn[without].mean() == pytest.approx(54 / 60, abs=0.02)
    assert drawn[~without].mean() == pytest.approx((54 / 60 + 4 / 5) / 2, abs=0.02)


@pytest.mark.parametrize("task_type", ["binary_class", "multi_class", "multi_label", "regression"])
def test_the_metric_that_chooses_the_epoch_has_a_counterpart_with_an_interval(task_type):
    scored = {metric for _, metric in score({"model": comparison_of(task_type)}, np.arange(400), task_type).values}
    assert {metric_names.primary_metric(task_type, name) for name in metric_names._PRIMARY[task_type]} <= scored
    with pytest.raises(ConfigError, match=f"best_metric_type is 'top2', for which the report of a {task_type} task"):
        metric_names.primary_metric(task_type, "top2")


def test_what_is_undefined_is_nan():
    truth = np.zeros(40, dtype=int)
    found = score({"model": Comparison(truth, truth, np.full(40, 0.5), 0)}, np.arange(40), "binary_class", resamples=9)
    assert np.isnan(found.values["model", "ROC AUC"])
    assert np.isnan(found.interval("model", "ROC AUC")).all()
    constant = Comparison(np.arange(40.0) * 1e-9, np.full(40, 0.1), np.full(40, 0.1), 0)
    numbers = score({"model": constant}, np.arange(40), "regression", resamples=9).values
    assert np.isnan(numbers["model", "Pearson correlation"])
    assert np.isnan(numbers["model", "Spearman correlation"])
    assert score({"model": rows_of(constant, slice(0))}, [], "regression").values == {}


def test_the_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    at_once = next(statistics.draws(33, 50, 5, 21))
    monkeypatch.setattr(statistics, "_WEIGHTS_AT_ONCE", 200)
    assert np.array_equal(np.concatenate([*statistics.draws(33, 50, 5, 21)]), at_once)
