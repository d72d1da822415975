"""The tables of the page of a trained model, as columns by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lucaflow.report.trained_task import BASELINES, lengths_of, models_of, tested
from lucaflow.report.training_words import interval, number, score_in_words
from lucaflow.training.class_scores import class_scores
from lucaflow.training.clusters import PARTS
from lucaflow.training.results import TrainingResult
from lucaflow.training.splits import LEFT_OUT, ONE_SIDE_SEEN

Columns = Mapping[str, Sequence[Any]]

_PARTS = (*PARTS, ONE_SIDE_SEEN, LEFT_OUT)
BINS = 10


def parts_table(result: TrainingResult) -> Columns:
    """Return the rows, distinct sequences, clusters and lengths of each part that has rows."""
    found: list[tuple[Any, ...]] = []
    for part in _PARTS:
        chosen = result.split.rows(part)
        if not len(chosen):
            continue
        clusters = {*result.split.clusters[chosen].tolist()} - {""}
        lengths = lengths_of(result, part)
        spread = f"{lengths.min():,} to {lengths.max():,}"
        distinct = len(np.unique(result.rows.sides[chosen]))
        found.append((part.replace("_", " "), len(chosen), distinct, len(clusters) or None, spread))
    names = ("part", "rows", "distinct sequences", "clusters", "residues")
    return dict(zip(names, zip(*found, strict=True), strict=True))


def reasons_table(result: TrainingResult) -> Columns:
    """Return why rows are left out, and how many."""
    counted = Counter(reason for reason in result.split.reasons.tolist() if reason).most_common()
    return {"reason": [reason for reason, _ in counted], "rows": [count for _, count in counted]}


def labels_table(result: TrainingResult) -> Columns:
    """Return how many rows, or residues, of each part have each class, the most frequent class first; of numbers, their
    spread."""
    if result.rows.classes is None:
        return _values_table(result)
    counts = {part: Counter[str]() for part in PARTS}
    for part, classes in zip(result.split.parts.tolist(), result.rows.classes, strict=True):
        if part in counts and result.residues is None:
            counts[part].update(classes)
    for part, values in (result.residues or {}).items():
        of_classes = values.sum(axis=0) if values.ndim == 2 else np.bincount(values.astype(int))
        numbers = of_classes.astype(int).tolist()
        counts[part].update(dict(zip(result.classes, numbers, strict=False)))
    total: Counter[str] = sum(counts.values(), Counter())
    # Equally frequent ones stay in the order of the outputs.
    names = sorted(result.classes, key=lambda name: -total[name])
    return {"class": names, **{part: [found[name] for name in names] for part, found in counts.items()}}


def _values_table(result: TrainingResult) -> Columns:
    found = []
    for part in PARTS:
        values = _values_of(result, part)
        found.append((part, *(float(each) for each in np.percentile(values, (0, 25, 50, 75, 100)))))
    names = ("part", "lowest", "lower quarter", "median", "upper quarter", "highest")
    return dict(zip(names, zip(*found, strict=True), strict=True))


def _values_of(result: TrainingResult, part: str) -> np.ndarray:
    if result.residues is not None:
        return result.residues[part]
    return np.array([float(result.rows.labels[each]) for each in result.split.rows(part)])


def leakage_columns(leakage: pd.DataFrame) -> Columns:
    """Return leakage.tsv with shares in per cent."""
    table = leakage.copy()
    if not (table["side"] != "").any():
        table = table.drop(columns="side")
    rows = table["rows"].astype(int).tolist()
    shares = [f"{float(share):.1%}" if count else "-" for share, count in zip(table["share"], rows, strict=True)]
    found = table.drop(columns="share").astype(object)
    return {
        **{str(name).replace("_", " "): found[name].tolist() for name in found},
        "share": shares,
    }


def subsets_table(result: TrainingResult) -> Columns:
    """Return the primary metric of the model and of the best baseline on some of test."""
    found: list[tuple[Any, ...]] = []
    models = [result.model, result.baseline]
    for description, scores in {"all": result.test, **result.subsets}.items():
        values = [score_in_words(scores, model, result.metric) for model in models]
        found.append((description, scores.rows, scores.clusters, *values))
    of_models = (f"{result.metric} of {model}" for model in models)
    names = (tested(result), f"{result.scored.unit}s", "clusters", *of_models)
    return dict(zip(names, zip(*found, strict=True), strict=True))


def scores_table(result: TrainingResult) -> Columns:
    """Return each metric on test of the model and of the baselines, the primary one first, with intervals, and how much
    better the model is than each baseline."""
    metrics = sorted({metric: None for _, metric in result.test.values}, key=lambda name: name != result.metric)
    table: dict[str, list[Any]] = {"model": [], f"lead of {result.model}": []}
    table |= {metric: [] for metric in metrics}
    for name in models_of(result):
        best = " (best by dev)" if name == result.baseline else ""
        table["model"].append(f"{name}: {BASELINES[name]}{best}" if name in BASELINES else name)
        table[f"lead of {result.model}"].append(_lead(result, name))
        for metric in metrics:
            table[metric].append(score_in_words(result.test, name, metric))
    order = ["model", result.metric, f"lead of {result.model}", *(name for name in metrics if name != result.metric)]
    return {name: table[name] for name in order}


def _lead(result: TrainingResult, other: str) -> str:
    if other == result.model:
        return "-"
    found = result.test.difference(result.model, other, result.metric)
    ends = interval(found.low, found.high)
    return number(found.value) + (f" ({ends})" if ends else "")


def classes_table(result: TrainingResult) -> Columns:
    """Return how well each class of the test rows is predicted, the most frequent first."""
    units = f"{result.scored.unit}s"
    found = class_scores(result.compared, result.scored.split.clusters[result.tested], result.classes)
    found = found.rename(columns={"rows": units}).sort_values(units, ascending=False, kind="stable")
    ends = [interval(low, high) or "-" for low, high in zip(found["recall_low"], found["recall_high"], strict=True)]
    return {
        **{name: found[name].tolist() for name in ("class", units, "predicted", "precision", "recall")},
        "interval of recall": ends,
        "F1": found["F1"].tolist(),
    }


def calibration(result: TrainingResult) -> pd.DataFrame:
    """Return, for bins of equal width of the probability that the model states, how often it was right.

    Of multi_class the probability is that of the predicted class; of binary_class that of the second class; of
    multi_label those of all classes together. Bins without rows are left out.
    """
    truth, stated = result.compared.truth, result.predicted[result.tested]
    if result.options.task_type == "multi_class":
        right, stated = truth == result.compared.predicted, stated.max(axis=1)
    elif result.options.task_type == "binary_class":
        right, stated = truth.astype(bool), stated[:, -1]
    else:
        right, stated = truth.astype(bool).ravel(), stated.ravel()
    number_of_bin = np.minimum((stated * BINS).astype(int), BINS - 1)
    rows = np.bincount(number_of_bin, minlength=BINS)
    there = rows > 0
    means = [np.bincount(number_of_bin, each, BINS)[there] / rows[there] for each in (stated, right.astype(float))]
    return pd.DataFrame({"stated": means[0], "right": means[1], "rows": rows[there]})


def calibration_error(bins: pd.DataFrame) -> float:
    """Return the mean difference of stated probability and share of right rows, weighted by the rows.

    The expected calibration error of Naeini, Cooper and Hauskrecht (2015), https://doi.org/10.1609/aaai.v29i1.9602.

    >>> round(calibration_error(pd.DataFrame({"stated": [0.5, 0.9], "right": [0.4, 1.0], "rows": [10, 30]})), 3)
    0.1
    """
    return float((abs(bins["stated"] - bins["right"]) * bins["rows"]).sum() / bins["rows"].sum())
