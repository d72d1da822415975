"""How well is each class predicted?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lucaflow.downstream.evaluation import Comparison
from lucaflow.training.resampled_metrics import Resamples
from lucaflow.training.statistics import CONFIDENCE, FEWEST_FOR_INTERVALS, RESAMPLES, draws

CLASS_COLUMNS = ["class", "rows", "predicted", "precision", "recall", "recall_low", "recall_high", "F1"]


def class_scores(
    compared: Comparison, clusters: Sequence[str] | np.ndarray, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """Return a row for each class: how many rows have it, how many are predicted to, and how well both agree.

    clusters: (n,) of the rows, by which they are resampled; there are no intervals of fewer than 10. What is undefined
    is NaN: the recall of a class without rows, the precision of one that is never predicted.
    """
    names, numbers = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = Resamples(numbers, np.ones((1, len(names))))
        (hits,), (rows,), (said,) = _counts(compared, whole, len(classes))
        recalls = [np.full((0, len(classes)), np.nan)]
        if len(names) >= FEWEST_FOR_INTERVALS:
            for counts in draws(len(names), len(numbers), seed, RESAMPLES):
                right, there, _ = _counts(compared, Resamples(numbers, counts), len(classes))
                recalls.append(right / there)
        ends = _ends(np.concatenate(recalls))
        columns = (list(classes), rows.astype(int), said.astype(int), hits / said, hits / rows, *ends)
        return pd.DataFrame(dict(zip(CLASS_COLUMNS, (*columns, 2 * hits / (rows + said)), strict=True)))


def _counts(compared: Comparison, drawn: Resamples, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many rows drawn are right, have the class, and are predicted to, (R, C) each."""
    truth, predicted = compared.truth, compared.predicted
    if truth.ndim == 2:
        right, there, said = (drawn.sums(each.astype(float)) for each in (truth * predicted, truth, predicted))
        return right, there, said
    every = np.ones(len(truth), dtype=bool)
    return (
        drawn.sums_of_classes(truth, classes, truth == predicted),
        drawn.sums_of_classes(truth, classes, every),
        drawn.sums_of_classes(predicted, classes, every),
    )


def _ends(recalls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends (C,) of the intervals of recalls (R, C); NaN where no resample has the class."""
    ends = np.full((2, recalls.shape[1]), np.nan)
    known = np.isfinite(recalls).any(axis=0)
    if known.any():
        ends[:, known] = np.nanpercentile(recalls[:, known], [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], axis=0)
    return ends[0], ends[1]
