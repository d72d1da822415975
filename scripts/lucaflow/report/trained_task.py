"""What the page of a trained model asks of its results."""

from __future__ import annotations

import numpy as np

from lucaflow.training.metric_names import LOWER_IS_BETTER
from lucaflow.training.results import TrainingResult
from lucaflow.training.statistics import Difference

# What each baseline predicts by, in words that go on a sentence.
BASELINES = {
    "majority": "the most frequent class of train",
    "mean": "the mean of train",
    "composition": "the composition of the sequences",
    "mean_vector": "a linear model of the mean vector",
    "best_hit": "the label of the most similar sequence of train",
    "letter": "the usual label of the letter",
    "letters_nearby": "a linear model of the letters nearby",
    "side_a": "side a of the pairs alone",
    "side_b": "side b of the pairs alone",
}


def models_of(result: TrainingResult) -> list[str]:
    """Return the model and the baselines, in the order of the scores."""
    return list(dict.fromkeys(model for model, _ in result.test.values))


def difference_of(result: TrainingResult) -> Difference:
    """Return how much better the model is than the best baseline, on test."""
    return result.test.difference(result.model, result.baseline, result.metric)


def lengths_of(result: TrainingResult, *parts: str) -> np.ndarray:
    """Return the lengths in residues of the sequences of some parts, both sides of pairs."""
    of_sequences = np.array([len(sequence.residues) for sequence in result.rows.sequences], dtype=int)
    chosen = np.isin(result.split.parts, parts)
    return of_sequences[result.rows.sides[chosen]].ravel()


def tested(result: TrainingResult) -> str:
    """Return what of test is scored, as words: rows, or residues."""
    return f"test {result.scored.unit}s"


def is_regression(result: TrainingResult) -> bool:
    return result.options.task_type == "regression"


def is_error(metric: str) -> bool:
    """Return whether less of a metric is better.

    >>> is_error("mean absolute error"), is_error("accuracy")
    (True, False)
    """
    return metric in LOWER_IS_BETTER
