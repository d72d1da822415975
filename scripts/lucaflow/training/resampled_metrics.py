"""Metrics of many resamples of clusters at once.

A resample is a number for each cluster, how often it was drawn; so all metrics are computed from weights. They have the
names and definitions of `downstream.evaluation`, but for macro averages, which run over the classes with enough rows in
the whole truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lucaflow.downstream.evaluation import Comparison

FEWEST_ROWS_OF_A_CLASS = 5
# A variance is zero below this share of the whole one, or of the mean squared: what is left is rounding.
_NO_VARIANCE = 1e-12


@dataclass(frozen=True)
class Resamples:
    """clusters: (n,) the cluster of each row, from 0; counts: (R, K) how often each cluster was drawn."""

    clusters: np.ndarray
    counts: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums (R, m) of values (n, m) of the rows drawn."""
        from scipy.sparse import csr_matrix

        rows = len(self.clusters)
        shape = (self.counts.shape[1], rows)
        return np.asarray(self.counts @ (csr_matrix((np.ones(rows), (self.clusters, np.arange(rows))), shape) @ values))

    def sums_of_classes(self, classes: np.ndarray, count: int, chosen: np.ndarray) -> np.ndarray:
        """Return how many rows drawn (R, count) are of each class. classes: (n,); chosen: (n,) bool, rows counted."""
        from scipy.sparse import coo_matrix

        clusters, numbers = self.clusters[chosen], classes[chosen]
        shape = (count, self.counts.shape[1])
        table = coo_matrix((np.ones(len(clusters)), (numbers, clusters)), shape=shape).tocsr()
        return np.asarray((table @ self.counts.T).T)

    def weights(self) -> np.ndarray:
        """Return how often each row was drawn, (R, n)."""
        return self.counts[:, self.clusters].astype(np.float64)


def resampled(comparison: Comparison, task_type: str, resamples: Resamples) -> Mapping[str, np.ndarray]:
    """Return each metric (R,) of a task's resamples, NaN where it is undefined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return _METRICS[task_type](comparison, resamples)


def counted_classes(comparison: Comparison, task_type: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes that macro averages run over, and those with too few rows in the truth for that."""
    if task_type == "regression":
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    truth = comparison.truth
    rows = truth.sum(axis=0) if truth.ndim == 2 else np.bincount(truth) if len(truth) else np.zeros(0, dtype=int)
    return np.flatnonzero(rows >= FEWEST_ROWS_OF_A_CLASS), np.flatnonzero((rows > 0) & (rows < FEWEST_ROWS_OF_A_CLASS))


def _binary(found: Comparison, drawn: Resamples) -> Mapping[str, np.ndarray]:
    truth, predicted = found.truth.astype(float), found.predicted.astype(float)
    cells = (truth * predicted, (1 - truth) * predicted, truth * (1 - predicted), (1 - truth) * (1 - predicted))
    tp, fp, fn, tn = drawn.sums(np.stack(cells, axis=1)).T
    norm = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "accuracy": (tp + tn) / (tp + fp + fn + tn),
        "precision": _or_zero(tp, tp + fp),
        "recall": _or_zero(tp, tp + fn),
        "F1": _or_zero(2 * tp, 2 * tp + fp + fn),
        "Matthews correlation": _or_zero(tp * tn - fp * fn, norm),
        **_ranked(found.truth, found.scores, drawn),
    }


def _or_zero(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1), 0.0)


def _ranked(truth: np.ndarray, scores: np.ndarray, drawn: Resamples) -> Mapping[str, np.ndarray]:
    """Return ROC AUC and average precision; NaN where all rows drawn are of one class."""
    if not len(truth):
        return dict.fromkeys(("ROC AUC", "average precision"), np.full(len(drawn.counts), np.nan))
    order = np.argsort(-scores, kind="stable")
    ties = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    positive = truth[order].astype(bool)

    weights = drawn.weights()[:, order]
    ones = np.add.reduceat(weights * positive, ties, axis=1)
    zeros = np.add.reduceat(weights * ~positive, ties, axis=1)
    above_ones, above_zeros = np.cumsum(ones, axis=1), np.cumsum(zeros, axis=1)
    all_ones, all_zeros = above_ones[:, -1], above_zeros[:, -1]
    one_class = (all_ones == 0) | (all_zeros == 0)
    area = (ones * (all_zeros[:, None] - above_zeros + zeros / 2)).sum(axis=1) / (all_ones * all_zeros)
    average = (ones * _or_zero(above_ones, above_ones + above_zeros)).sum(axis=1) / all_ones
    return {
        "ROC AUC": np.where(one_class, np.nan, area),
        "average precision": np.where(one_class, np.nan, average),
    }


def _classes(found: Comparison, drawn: Resamples) -> Mapping[str, np.ndarray]:
    count = int(max(found.truth.max(initial=0), found.predicted.max(initial=0))) + 1
    every = np.ones(len(found.truth), dtype=bool)
    right = drawn.sums_of_classes(found.truth, count, found.truth == found.predicted)
    of_truth = drawn.sums_of_classes(found.truth, count, every)
    said = drawn.sums_of_classes(found.predicted, count, every)
    rows = of_truth.sum(axis=1)
    covariance = right.sum(axis=1) * rows - (of_truth * said).sum(axis=1)
    norm = np.sqrt((rows**2 - (said**2).sum(axis=1)) * (rows**2 - (of_truth**2).sum(axis=1)))
    counted = counted_classes(found, "multi_class")[0]
    return {
        "accuracy": right.sum(axis=1) / rows,
        "balanced accuracy": _macro(_or_zero(right, of_truth), of_truth, counted),
        "macro F1": _macro(_or_zero(2 * right, of_truth + said), of_truth, counted),
        "Matthews correlation": _or_zero(covariance, norm),
    }


def _macro(values: np.ndarray, of_truth: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return the mean (R,) of values (R, C) over the counted classes that a resample has; NaN if it has none."""
    there = of_truth[:, counted] > 0
    return np.asarray((values[:, counted] * there).sum(axis=1) / there.sum(axis=1))


def _sets(found: Comparison, drawn: Resamples) -> Mapping[str, np.ndarray]:
    truth, predicted = found.truth.astype(float), found.predicted.astype(float)
    both = truth * predicted
    right, of_truth, said = (drawn.sums(values) for values in (both, truth, predicted))
    union = np.maximum(truth, predicted).sum(axis=1)
    jaccard = drawn.sums(np.stack((_or_zero(both.sum(axis=1), union), np.ones(len(truth))), axis=1))
    return {
        "micro F1": _or_zero(2 * right.sum(axis=1), (of_truth + said).sum(axis=1)),
        "macro F1": _macro(_or_zero(2 * right, of_truth + said), of_truth, counted_classes(found, "multi_label")[0]),
        "Jaccard index": jaccard[:, 0] / jaccard[:, 1],
    }


def _numbers(found: Comparison, drawn: Resamples) -> Mapping[str, np.ndarray]:
    error = found.predicted - found.truth
    # Standardised, so that no digits are lost in squares.
    truth, predicted = _standardised(found.truth), _standardised(found.predicted)
    values = (np.ones(len(truth)), truth, predicted, truth**2, predicted**2, truth * predicted, np.abs(error), error**2)
    rows, *sums = drawn.sums(np.stack(values, axis=1)).T
    t, p, tt, pp, tp, absolute, squared = (each / rows for each in sums)
    spread = tt - t**2
    return {
        "mean absolute error": absolute,
        "root mean squared error": np.sqrt(squared),
        "R2": np.where(spread > _NO_VARIANCE, 1 - squared / (spread * found.truth.var()), np.nan),
        "Spearman correlation": _rank_correlation(found.truth, found.predicted, drawn),
        "Pearson correlation": _correlation(tp - t * p, spread, pp - p**2),
    }


def _standardised(values: np.ndarray) -> np.ndarray:
    """Return values (n,) of mean 0 and variance 1, or zeros if all are the same."""
    around = values - values.mean()
    variance = np.mean(around**2)
    same = variance <= _NO_VARIANCE**2 * values.mean() ** 2
    return np.zeros(len(values)) if same else np.asarray(around / np.sqrt(variance))


def _correlation(covariance: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    there = (first > _NO_VARIANCE) & (second > _NO_VARIANCE)
    return np.where(there, covariance / np.sqrt(first * second), np.nan)


def _rank_correlation(truth: np.ndarray, predicted: np.ndarray, drawn: Resamples) -> np.ndarray:
    weights = drawn.weights()
    rows = weights.sum(axis=1, keepdims=True)
    first, second = (_Ranks(values).of(weights) - (rows + 1) / 2 for values in (truth, predicted))
    products = ((first, second), (first, first), (second, second))
    return _correlation(*(np.einsum("rn,rn,rn->r", weights, a, b) / rows[:, 0] for a, b in products))


class _Ranks:
    """Ranks of values (n,) in resamples; equal values share the mean of their ranks."""

    def __init__(self, values: np.ndarray) -> None:
        self._order = np.argsort(values, kind="stable")
        self._ties = np.flatnonzero(np.diff(values[self._order], prepend=-np.inf))
        self._group = np.unique(values, return_inverse=True)[1]

    def of(self, weights: np.ndarray) -> np.ndarray:
        """Return the rank (r, n) of each row; weights: (r, n) how often it was drawn."""
        sizes = np.add.reduceat(weights[:, self._order], self._ties, axis=1)
        return (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, self._group]


_METRICS: Mapping[str, Callable[[Any, Any], Mapping[str, np.ndarray]]] = {
    "binary_class": _binary,
    "multi_class": _classes,
    "multi_label": _sets,
    "regression": _numbers,
}
