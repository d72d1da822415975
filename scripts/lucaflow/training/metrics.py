"""How good are predictions, by LucaOneTasks' names of metrics?

Where LucaOneTasks' own values are wrong or missing, `exact` asks for them. Letters in shapes: n: labels; C: classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lucaflow.training.ranking import average_precision, correlation, mean_ranks, roc_auc

_THRESHOLD = 0.5
_TOP = (2, 3, 4, 5, 10)

# Numbers by name; `confusion_matrix` is a table.
Metrics = dict[str, Any]


def metrics_of(task_type: str, truth: np.ndarray, scores: np.ndarray, exact: bool) -> Metrics:
    """Return the metrics of predictions.

    truth: (n,), for multi_label (n, C) of 0 and 1; scores: (n,) probabilities or values, for multi_class and
    multi_label (n, C) probabilities; exact: as LucaOneTasks computes them, rounded to 6 digits. A metric that is not
    defined is NaN or, if exact, left out where LucaOneTasks leaves it out.
    """
    if len(truth) == 0:
        return {}
    functions: Mapping[str, Callable[[np.ndarray, np.ndarray, bool], Metrics]] = {
        "binary_class": _binary,
        "multi_class": _multi_class,
        "multi_label": _multi_label,
        "regression": _regression,
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        found = functions[task_type](truth, scores, exact)
    return {name: _rounded(value) for name, value in found.items()} if exact else found


def _rounded(value: Any) -> Any:
    return round(float(value), 6) if isinstance(value, float | int | np.floating) else value


def _ratio(part: float, whole: float, undefined: float = np.nan) -> float:
    return float(part / whole) if whole else undefined


def _harmonic(precision: float, recall: float) -> float:
    return _ratio(2 * precision * recall, precision + recall, 0.0)


def _correlation(confusion: np.ndarray) -> float:
    """Return the Matthews correlation of a confusion matrix (C, C); 0 where it is not defined."""
    matrix = confusion.astype(float)
    actual, predicted, total = matrix.sum(1), matrix.sum(0), matrix.sum()
    covariance = matrix.trace() * total - actual @ predicted
    spread = (total**2 - predicted @ predicted) * (total**2 - actual @ actual)
    return _ratio(covariance, spread**0.5, 0.0)


def _binary(truth: np.ndarray, scores: np.ndarray, exact: bool) -> Metrics:
    actual, predicted = truth == 1, scores >= _THRESHOLD
    tp, fp = int((actual & predicted).sum()), int((~actual & predicted).sum())
    fn, tn = int((actual & ~predicted).sum()), int((~actual & ~predicted).sum())
    precision, recall = _ratio(tp, tp + fp, 0.0), _ratio(tp, tp + fn, 0.0)
    correlation = _correlation(np.array([[tn, fp], [fn, tp]]))
    found: Metrics = {
        "acc": (tp + tn) / len(truth),
        "prec": precision,
        "recall": recall,
        "f1": _harmonic(precision, recall),
        "roc_auc": roc_auc(actual, scores),
        "pr_auc": average_precision(actual, scores),
        "confusion_matrix": {"tn": tn, "fp": fp, "fn": fn, "tp": tp},
        "mcc2": correlation,
        "mcc": correlation,
        "sn": _ratio(tp, tp + fn),
        "sp": _ratio(tn, tn + fp),
    }
    if exact:
        if actual.all() or not actual.any():
            del found["roc_auc"]
        if 0 in (tp + fp, tp + fn, tn + fp, tn + fn):
            for name in ("mcc", "sn", "sp"):
                del found[name]
    return found


def _multi_class(truth: np.ndarray, scores: np.ndarray, exact: bool) -> Metrics:
    truth, predicted, classes = truth.astype(int), scores.argmax(1), scores.shape[1]
    full = np.zeros((classes, classes), dtype=int)
    np.add.at(full, (truth, predicted), 1)
    present = np.flatnonzero(full.sum(0) + full.sum(1))
    confusion = full[np.ix_(present, present)]
    hits, actual, guessed = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    precision = [_ratio(hit, count, 0.0) for hit, count in zip(hits, guessed, strict=True)]
    recall = [_ratio(hit, count, 0.0) for hit, count in zip(hits, actual, strict=True)]
    ranked = scores.argsort(1)[:, ::-1]
    is_class = truth[:, None] == np.arange(classes)  # (n, C)
    complete = bool(is_class.any(0).all())
    found: Metrics = {
        "acc": float(hits.sum() / len(truth)),
        "prec": float(np.mean(precision)),
        "recall": float(np.mean(recall)),
        "f1": float(np.mean([_harmonic(*both) for both in zip(precision, recall, strict=True)])),
        **{f"top{k}_acc": float((ranked[:, :k] == truth[:, None]).any(1).mean()) for k in _TOP},
        "roc_auc": _mean_of_classes(roc_auc, is_class, scores) if complete else np.nan,
        "pr_auc": _mean_of_classes(average_precision, is_class, scores),
        "mcc": _correlation(confusion),
        **_sensitivity(confusion, exact),
        "confusion_matrix": confusion.tolist(),
    }
    if exact and not complete:
        del found["roc_auc"]
    return found


def _mean_of_classes(
    function: Callable[[np.ndarray, np.ndarray], float], is_class: np.ndarray, scores: np.ndarray
) -> float:
    return float(np.mean([function(*both) for both in zip(is_class.T, scores.T, strict=True)]))


def _sensitivity(confusion: np.ndarray, exact: bool) -> dict[str, float]:
    """Return the mean sensitivity and specificity of the classes that occur in the truth.

    LucaOneTasks takes as many of the first rows of the confusion matrix, which are others if a class is predicted that
    does not occur.
    """
    hits, actual, guessed = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    chosen = np.arange((actual > 0).sum()) if exact else np.flatnonzero(actual)
    others = confusion.sum() - actual
    return {
        "sn": float(np.mean((hits / actual)[chosen])),
        "sp": float(np.mean(((others - guessed + hits) / others)[chosen])),
    }


def _multi_label(truth: np.ndarray, scores: np.ndarray, exact: bool) -> Metrics:
    actual, predicted = truth == 1, scores >= _THRESHOLD
    both, either = (actual & predicted).sum(1), (actual | predicted).sum(1)
    count, guessed = actual.sum(1), predicted.sum(1)
    none = either == 0
    precision = np.where(none, 1.0, np.where(guessed > 0, both / np.maximum(guessed, 1), 0.0))
    recall = np.where(none | (count == 0), 1.0, both / np.maximum(count, 1))
    summed = precision + recall
    f1 = np.where(summed > 0, 2 * precision * recall / np.where(summed > 0, summed, 1), 0.0)
    mixed = ~none & (count > 0) & (count < truth.shape[1])
    found: Metrics = {
        "acc": float(np.where(none, 1.0, 1 - (either - both) / truth.shape[1]).mean()),
        "jaccard": float(np.where(none, 1.0, both / np.maximum(either, 1)).mean()),
        "prec": float(precision.mean()),
        "recall": float(recall.mean()),
        "f1": float(f1.mean()),
    }
    for name, function in (("pr_auc", average_precision), ("roc_auc", roc_auc)):
        values = [1.0] * int(none.sum())
        values += [function(*row) for row in zip(actual[mixed], scores[mixed], strict=True)]
        found[name] = float(np.mean(values)) if values else (0.0 if exact else np.nan)
    return {**found, **_best_threshold(actual, scores, strictly=exact)}


def _best_threshold(actual: np.ndarray, scores: np.ndarray, strictly: bool) -> dict[str, float]:
    """Return the largest F1 over the thresholds 0.01 to 1, with its precision, recall and threshold.

    Precision is the mean of the samples with a label that was found, recall that of all samples with a label or a
    prediction. strictly: whether a score must be above the threshold, not equal to it.
    """
    best = {"fmax": 0.0, "pmax": 0.0, "rmax": 0.0, "tmax": 0.0}
    count = actual.sum(1)
    for step in range(1, 101):
        threshold = step / 100
        predicted = scores > threshold if strictly else scores >= threshold
        guessed, both = predicted.sum(1), (actual & predicted).sum(1)
        found = both > 0
        if not found.any():
            continue
        precision = float((both[found] / guessed[found]).mean())
        recall = float((both[found] / count[found]).sum() / ((count > 0) | (guessed > 0)).sum())
        if (f1 := _harmonic(precision, recall)) > best["fmax"]:
            best = {"fmax": f1, "pmax": precision, "rmax": recall, "tmax": threshold}
    return best


def _regression(truth: np.ndarray, scores: np.ndarray, exact: bool) -> Metrics:
    truth, scores = truth.astype(float), scores.astype(float)
    errors = scores - truth
    spread = float(((truth - truth.mean()) ** 2).sum())
    squares = float((errors**2).sum())
    found: Metrics = {
        "mae": float(np.abs(errors).mean()),
        "mse": squares / len(truth),
        # scikit-learn, which LucaOneTasks asks, has a number where all labels are equal.
        "r2": 1 - _ratio(squares, spread, float(squares > 0) if exact and len(truth) > 1 else np.nan),
    }
    ranks = (mean_ranks(truth), mean_ranks(scores))
    for name, both in (("sp", ranks), ("ps", (truth, scores))):
        found[f"{name}_statistic"], found[f"{name}_pvalue"] = correlation(*both)
    return found
