"""How well do scores rank what they are compared with?

Letters in shapes: n: labels.
"""

from __future__ import annotations

import numpy as np


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank (n,) of each value, from 1 on; equal values have the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[group]


def roc_auc(actual: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve: the share of pairs in which the labelled one scores higher, ties half.

    actual: (n,) whether each has the label; scores: (n,). NaN if all or none have it.
    """
    positives = int(actual.sum())
    negatives = len(actual) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = mean_ranks(scores)
    return float((ranks[actual].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(actual: np.ndarray, scores: np.ndarray) -> float:
    """Return the average precision: the mean precision at each found label, equal scores at once. 0 without labels.

    actual: (n,) whether each has the label; scores: (n,).
    """
    positives = int(actual.sum())
    if not positives:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last one of each group
    found = actual[order].cumsum()[ends]
    precision = found / (ends + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / positives)


def correlation(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return Pearson's correlation of (n,) and (n,), and its two-sided p-value for normal values.

    Both are NaN if there are fewer than two values, or if one side is constant. Of ranks, it is Spearman's correlation.
    """
    from scipy.special import betainc  # takes time to import

    if len(truth) < 2 or not np.ptp(truth) or not np.ptp(scores):
        return float("nan"), float("nan")
    value = float(np.clip(np.corrcoef(truth, scores)[0, 1], -1, 1))
    # Two values always lie on a line. Otherwise this is the p-value of Student's t with n - 2 degrees of freedom.
    p_value = 1.0 if len(truth) == 2 else float(betainc(len(truth) / 2 - 1, 0.5, 1 - value**2))
    return value, p_value
