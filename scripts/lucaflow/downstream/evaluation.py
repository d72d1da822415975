"""Compare predictions with labels: scikit-learn's metrics, with confidence intervals by bootstrap."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from lucaflow.downstream.tables import GROUND_TRUTH

_SEED = 0
_CONFIDENCE = 0.95
_RESAMPLES = 500
# From larger tables, samples of this many rows are drawn; their spread is scaled to all rows.
_MOST_ROWS_DRAWN = 5_000

METRIC_COLUMNS = ["metric", "value", "low", "high", "rows", "not_compared"]

Metric = Callable[[Any, Any, Any], float]


@dataclass(frozen=True)
class Comparison:
    """Predictions and labels of the rows that have both.

    truth, predicted: (n,) classes or values, or (n, C) for several labels; scores: (n,) probabilities or values;
    not_compared: number of rows without a label that the task can predict.
    """

    truth: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray
    not_compared: int


def read_predictions(path: Path) -> pd.DataFrame:
    """Return a table of predictions without the sequences; cells are text."""
    table = pd.read_csv(
        path, dtype=str, keep_default_na=False, usecols=lambda name: not re.fullmatch("seq(_[ab])?", name)
    )
    return table.rename(columns={"top1_prob": "prob", "top1_label": "label"})


def compare(table: pd.DataFrame, task_type: str, labels: Sequence[str]) -> Comparison:
    """Return predictions beside their ground truth. Labels are class names or class numbers."""
    truth = table[GROUND_TRUTH]
    if task_type == "regression":
        values = pd.to_numeric(truth, errors="coerce").to_numpy()
        known = np.isfinite(values)
        found = table["prob"].astype(float).to_numpy()[known]
        return Comparison(values[known], found, found, int((~known).sum()))
    if task_type == "multi_label":
        return _compare_sets(table, labels)
    classes = truth.map(_class_of_label(truth, labels))
    known = classes.notna().to_numpy()
    predicted = table["label"].map({name: index for index, name in enumerate(labels)}).to_numpy()
    return Comparison(
        classes[known].to_numpy(dtype=int), predicted[known].astype(int),
        table["prob"].astype(float).to_numpy()[known], int((~known).sum()),
    )  # fmt: skip


def truths(labels: Iterable[str], task_type: str, classes: Sequence[str]) -> Callable[[str], bool] | None:
    """Return the function that says whether a label is one that a task can predict; None if no label is.

    labels: of a dataset; classes: of the task. A regression takes finite numbers.
    """
    if task_type == "regression":
        return _is_finite if any(map(_is_finite, labels)) else None
    distinct = set(labels)
    if task_type == "multi_label":
        usable = {label for label in distinct if _set_of(label, classes) is not None}
    else:
        usable = distinct.intersection(_class_of_label(pd.Series(sorted(distinct), dtype=str), classes))
    return usable.__contains__ if usable else None


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _class_of_label(truth: pd.Series, labels: Sequence[str]) -> dict[str, int]:
    """Return the class of each label that may occur: of class names, or of class numbers.

    They are numbers if not all labels are class names, and either all are class numbers or none is a class name.
    """
    by_name = {name: index for index, name in enumerate(labels)}
    by_number = {str(index): index for index in range(len(labels))}
    stated = truth[truth != ""]
    named = stated.isin(by_name)
    return by_number if not named.all() and (stated.isin(by_number).all() or not named.any()) else by_name


def _compare_sets(table: pd.DataFrame, labels: Sequence[str]) -> Comparison:
    """Compare sets of labels. In the dataset, a set is a list or labels separated by semicolons."""
    # Of residues there are many cells, and few that differ.
    sets = {cell: _set_of(cell, labels) for cell in set(table[GROUND_TRUTH])}
    truth = [sets[cell] for cell in table[GROUND_TRUTH]]
    named = {cell: ast.literal_eval(cell) for cell in set(table["label"])}
    known = np.array([names is not None for names in truth], dtype=bool)
    predicted = _as_rows([named[cell] for cell in table["label"]], labels)[known]
    expected = _as_rows([names for names in truth if names is not None], labels)
    return Comparison(expected, predicted, predicted, int((~known).sum()))


def _as_rows(sets: Sequence[Sequence[str]], labels: Sequence[str]) -> np.ndarray:
    """Return sets of labels as 0 and 1 for each of the task's labels, (n, C)."""
    column = {name: index for index, name in enumerate(labels)}
    rows = np.zeros((len(sets), len(labels)), dtype=int)
    for row, names in zip(rows, sets, strict=True):
        row[[column[name] for name in names]] = 1
    return rows


def _set_of(cell: str, labels: Sequence[str]) -> list[str] | None:
    """Return the class names in a cell; None if it is empty, or if one of its labels is not a class of the task."""
    if not cell:
        return None
    try:
        parts = [str(part) for part in ast.literal_eval(cell)] if cell.startswith("[") else cell.split(";")
    except (ValueError, SyntaxError, TypeError):
        return None
    parts = [part.strip() for part in parts if part.strip()]
    classes = _class_of_label(pd.Series(parts, dtype=str), labels)
    return [labels[classes[part]] for part in parts] if all(part in classes for part in parts) else None


def _of_scores(function: Callable[..., float]) -> Metric:
    """Return a metric of scores; NaN if all labels are of one class."""
    return lambda t, _, s: function(t, s) if len(np.unique(t)) > 1 else float("nan")


def _of_classes(function: Callable[..., float], **options: Any) -> Metric:
    return lambda t, p, _: function(t, p, **options)


def _correlation(truth: np.ndarray, predicted: np.ndarray, method: Literal["pearson", "spearman"]) -> float:
    return float(pd.Series(truth).corr(pd.Series(predicted), method=method))


def metrics_of(task_type: str) -> Mapping[str, Metric]:
    """Return the metrics of a type of task, by name."""
    from sklearn import metrics  # not needed to draw predictions

    found: Mapping[str, Mapping[str, Metric]] = {
        "binary_class": {
            "accuracy": _of_classes(metrics.accuracy_score),
            "precision": _of_classes(metrics.precision_score, zero_division=0.0),
            "recall": _of_classes(metrics.recall_score, zero_division=0.0),
            "F1": _of_classes(metrics.f1_score, zero_division=0.0),
            "Matthews correlation": _of_classes(metrics.matthews_corrcoef),
            "ROC AUC": _of_scores(metrics.roc_auc_score),
            "average precision": _of_scores(metrics.average_precision_score),
        },
        "multi_class": {
            "accuracy": _of_classes(metrics.accuracy_score),
            "balanced accuracy": _of_classes(metrics.balanced_accuracy_score),
            "macro F1": _of_classes(metrics.f1_score, average="macro", zero_division=0.0),
            "Matthews correlation": _of_classes(metrics.matthews_corrcoef),
        },
        "multi_label": {
            "micro F1": _of_classes(metrics.f1_score, average="micro", zero_division=0.0),
            "macro F1": _of_classes(metrics.f1_score, average="macro", zero_division=0.0),
            "Jaccard index": _of_classes(metrics.jaccard_score, average="samples", zero_division=0.0),
        },
        "regression": {
            "mean absolute error": _of_classes(metrics.mean_absolute_error),
            "root mean squared error": _of_classes(metrics.root_mean_squared_error),
            "R2": _of_classes(metrics.r2_score),
            "Spearman correlation": lambda t, p, _: _correlation(t, p, "spearman"),
            "Pearson correlation": lambda t, p, _: _correlation(t, p, "pearson"),
        },
    }
    return found[task_type]


def evaluate(comparison: Comparison, task_type: str, records: np.ndarray | None = None) -> pd.DataFrame:
    """Return each metric with its 95 % interval; NaN if too few rows have labels.

    records: (n,) the sequence that each row is of, where rows are residues: sequences are drawn, with all their rows.
    """
    count = len(comparison.truth)
    drawn, share = _samples(count, records)
    rows = []
    for name, metric in metrics_of(task_type).items():
        with warnings.catch_warnings():
            # Samples of a single class or row: their metric is NaN or meaningless, and scikit-learn warns.
            warnings.simplefilter("ignore")
            value = _value(metric, comparison, slice(None))
            found = [_value(metric, comparison, sample) for sample in drawn] or [np.nan]
            ends = np.nanpercentile(found, [50 * (1 - _CONFIDENCE), 50 * (1 + _CONFIDENCE)])
        low, high = ends if share == 1 else value + (ends - np.nanmean(found)) * share**0.5
        rows.append((name, value, low, high, count, comparison.not_compared))
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


def _samples(count: int, records: np.ndarray | None) -> tuple[list[np.ndarray], float]:
    """Return the rows of each sample, and which share of all is in one."""
    if not count:
        return [], 1.0
    generator = np.random.default_rng(_SEED)
    if records is None:
        size = min(count, _MOST_ROWS_DRAWN)
        return [generator.integers(count, size=size) for _ in range(_RESAMPLES)], size / count
    starts = np.flatnonzero(np.diff(records, prepend=-1))
    ends = np.append(starts[1:], count)
    size = max(1, len(starts) * min(count, _MOST_ROWS_DRAWN) // count)
    chosen = (generator.integers(len(starts), size=size).tolist() for _ in range(_RESAMPLES))
    parts = ([np.arange(starts[each], ends[each]) for each in sample] for sample in chosen)
    return [np.concatenate(part) for part in parts], size / len(starts)


def _value(metric: Metric, comparison: Comparison, rows: np.ndarray | slice) -> float:
    truth = comparison.truth[rows]
    return float(metric(truth, comparison.predicted[rows], comparison.scores[rows])) if len(truth) else float("nan")
