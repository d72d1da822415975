"""How good is a prediction that needs no network?

What a trained model adds is its score minus that of the best of these, which is chosen by dev.

| baseline | predicts |
|---|---|
| `majority`, `mean` | the shares of the classes in train, the mean value |
| `composition` | by the shares of amino acids, or of the words of three letters of nucleotides |
| `mean_vector` | by the mean vector of the embedding |
| `best_hit` | the label of the most similar sequence of train that MMseqs2 finds, else as the first |
| `side_a`, `side_b` | of pairs, by one side alone: its mean vector, or its composition |

`composition`, `mean_vector` and sides are logistic regressions; of values, and of several labels, ridge regressions.
How strongly they are regularised is chosen by dev.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from lucaflow.downstream.evaluation import Comparison
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.training.leakage import Neighbours
from lucaflow.training.metric_names import LOWER_IS_BETTER
from lucaflow.training.splits import LabelledRows, Split
from lucaflow.training.statistics import score

logger = logging.getLogger(__name__)

_WORDS = {
    "prot": (1, {letter: number for number, letter in enumerate("ACDEFGHIKLMNPQRSTVWY")}),
    "gene": (3, {"".join(word): number for number, word in enumerate(product("ACGT", repeat=3))}),
}
_INVERSE_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
_RIDGE_STRENGTHS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
_MOST_STEPS = 300
_FALLBACK = {
    "binary_class": "accuracy",
    "multi_class": "accuracy",
    "multi_label": "micro F1",
    "regression": "mean absolute error",
}
_THRESHOLD = 0.5


@dataclass(frozen=True)
class Targets:
    """The labels of the rows.

    values: (n,) classes or numbers, or (n, C) of 0 and 1 for several labels; classes: their number C, 1 for a
    regression.
    """

    task_type: str
    values: np.ndarray
    classes: int = 1

    def as_shares(self) -> np.ndarray:
        """Return the labels as a share of each class, (n, C), or as numbers, (n, 1)."""
        if self.task_type in {"binary_class", "multi_class"}:
            return np.eye(self.classes)[self.values]
        return self.values.reshape(len(self.values), -1).astype(float)

    def compare(self, predicted: np.ndarray, rows: np.ndarray) -> Comparison:
        """Return predictions (n, C), probabilities or values, beside the labels of some rows."""
        truth, found = self.values[rows], predicted[rows]
        if self.task_type == "regression":
            return Comparison(truth, found[:, 0], found[:, 0], 0)
        if self.task_type == "multi_label":
            chosen = (found >= _THRESHOLD).astype(int)
            return Comparison(truth, chosen, chosen, 0)
        if self.task_type == "binary_class":
            return Comparison(truth, (found[:, 1] >= _THRESHOLD).astype(int), found[:, 1], 0)
        return Comparison(truth, found.argmax(axis=1), found.max(axis=1), 0)


def baseline_predictions(
    rows: LabelledRows,
    split: Split,
    targets: Targets,
    neighbours: Neighbours,
    vectors: Sequence[np.ndarray] | None = None,
) -> Mapping[str, np.ndarray]:
    """Return what each baseline predicts for all rows: probabilities (n, C), or values (n, 1).

    vectors: the mean vectors (n, H) of each side; without them there is no `mean_vector`. Rows of train are learned
    from, those of dev choose how strongly to regularise; no label of another row is used.
    """
    train, dev = split.rows("train"), split.rows("dev")
    shares = targets.as_shares()
    usual = np.broadcast_to(shares[train].mean(axis=0), shares.shape)
    composed = [composition(rows.sequences, side) for side in rows.sides.T]
    features = {"composition": np.hstack(composed)}
    if vectors is not None:
        features["mean_vector"] = np.hstack(list(vectors))
    if rows.sides.shape[1] == 2:
        features |= dict(zip(("side_a", "side_b"), composed if vectors is None else vectors, strict=True))
    return {
        "mean" if targets.task_type == "regression" else "majority": usual,
        **{name: _fitted(given, targets, train, dev) for name, given in features.items()},
        "best_hit": best_hit(rows, train, shares, neighbours),
    }


def choose(predictions: Mapping[str, np.ndarray], targets: Targets, dev: np.ndarray, metric: str) -> str:
    """Return the baseline that is best by a metric on the rows `dev`, the first of equals.

    Where no baseline has the metric, since dev is small, another one decides: accuracy, micro F1, or the mean error.
    """
    comparisons = {name: targets.compare(predicted, dev) for name, predicted in predictions.items()}
    # Each row a cluster: no interval is needed, so none is drawn.
    values = score(comparisons, np.arange(len(dev)), targets.task_type, resamples=0).values
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    found = {name: sign * values[name, metric] for name in predictions}
    known = {name: value for name, value in found.items() if np.isfinite(value)}
    fallback = _FALLBACK[targets.task_type]
    if not known and metric != fallback:
        logger.info("%s is undefined on dev for every baseline; %s chooses the best", metric, fallback)
        return choose(predictions, targets, dev, fallback)
    return max(known or found, key=found.__getitem__)


def composition(sequences: Sequence[NormalisedSequence], side: np.ndarray) -> np.ndarray:
    """Return the shares (n, 20) of amino acids or (n, 64) of words of three nucleotides. side: (n,) positions; the
    sequences there are of one type. Other letters count in no share."""
    distinct, back = np.unique(side, return_inverse=True)
    length, words = _WORDS[sequences[int(distinct[0])].seq_type]
    found = np.zeros((len(distinct), len(words)))
    for row, place in zip(found, distinct.tolist(), strict=True):
        text = sequences[place].residues
        for start in range(len(text) - length + 1):
            number = words.get(text[start : start + length])
            if number is not None:
                row[number] += 1
    return (found / np.maximum(found.sum(axis=1, keepdims=True), 1))[back]


def best_hit(rows: LabelledRows, train: np.ndarray, shares: np.ndarray, neighbours: Neighbours) -> np.ndarray:
    """Return the labels (n, C) of the most similar sequence of train; where several rows have it, and over the sides of
    a pair, their mean; without a hit the mean of train."""
    usual = shares[train].mean(axis=0)
    found = np.zeros(shares.shape)
    for side in rows.sides.T:
        sums = np.zeros((len(rows.sequences), shares.shape[1]))
        counts = np.zeros(len(rows.sequences))
        np.add.at(sums, side[train], shares[train])
        np.add.at(counts, side[train], 1)
        best = neighbours.best[side]
        # Of pairs, the hit may be a sequence of the other side only.
        known = (best >= 0) & (counts[best] > 0)
        labels = sums[best] / np.maximum(counts[best], 1)[:, None]
        found += np.where(known[:, None], labels, usual)
    return found / rows.sides.shape[1]


def _fitted(features: np.ndarray, targets: Targets, train: np.ndarray, dev: np.ndarray) -> np.ndarray:
    """Return the predictions (n, C) of a linear model of features (n, F)."""
    spread = features[train].std(axis=0)
    given = (features - features[train].mean(axis=0)) / np.where(spread > 0, spread, 1)
    shares = targets.as_shares()
    if targets.task_type in {"binary_class", "multi_class"}:
        present = np.unique(targets.values[train])
        if len(present) == 1:
            return np.broadcast_to(shares[train[0]], shares.shape)
        return _logistic(given, targets, train, dev)
    return _ridge(given, shares, train, dev, targets.task_type == "multi_label")


def _logistic(given: np.ndarray, targets: Targets, train: np.ndarray, dev: np.ndarray) -> np.ndarray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=_MOST_STEPS, warm_start=True)
    best: np.ndarray = np.zeros(0)
    lowest = np.inf
    for inverse_strength in _INVERSE_STRENGTHS:
        model.set_params(C=inverse_strength)
        with warnings.catch_warnings():
            # Said in the log instead; what is not fully fitted is still a prediction, and dev chooses.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(given[train], targets.values[train])
        if model.n_iter_.max() >= _MOST_STEPS:
            logger.info("logistic regression: %d steps were not enough at C = %g", _MOST_STEPS, inverse_strength)
        predicted = np.zeros((len(given), targets.classes))
        predicted[:, model.classes_] = model.predict_proba(given)
        loss = -np.log(np.maximum(predicted[dev, targets.values[dev]], 1e-12)).mean()
        if loss < lowest:
            best, lowest = predicted, loss
    return best


def _ridge(given: np.ndarray, values: np.ndarray, train: np.ndarray, dev: np.ndarray, shares: bool) -> np.ndarray:
    from sklearn.linear_model import Ridge

    best: np.ndarray = np.zeros(0)
    lowest = np.inf
    for strength in _RIDGE_STRENGTHS:
        predicted = Ridge(alpha=strength).fit(given[train], values[train]).predict(given).reshape(values.shape)
        predicted = predicted.clip(0, 1) if shares else predicted
        loss = np.mean((predicted[dev] - values[dev]) ** 2)
        if loss < lowest:
            best, lowest = predicted, loss
    return best
