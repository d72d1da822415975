"""What came of a training: the tables that say how good a model is, and on which rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lucaflow.downstream.evaluation import Comparison
from lucaflow.downstream.networks import Head
from lucaflow.files.writing import replacing, write_table
from lucaflow.training.baselines import Targets, choose
from lucaflow.training.evaluation import Evaluation
from lucaflow.training.leakage import IDENTITIES, Neighbours, with_neighbour
from lucaflow.training.options import TrainingOptions
from lucaflow.training.splits import LabelledRows, Split
from lucaflow.training.state import EpochRecord
from lucaflow.training.statistics import Scores, score

_PARTS = ("dev", "test")


@dataclass(frozen=True)
class TrainingResult:
    """A trained model, the rows it was trained on, and how good it is.

    model: its name in the scores, that of the encoder; classes: names in the order of the outputs; method: of the
    split; leakage: leakage.tsv; records: of the epochs; kept: the epoch whose weights were kept; metric: the primary
    one; dev, test: scores of the model and the baselines; baseline: the best of them by dev; predicted: (n, C) of all
    rows, probabilities or values, NaN for rows that are neither dev nor test; compared: of the test rows; subsets:
    scores of the test rows with and without a neighbour in train, by their description.
    """

    dataset: str
    task: str
    model: str
    options: TrainingOptions
    classes: tuple[str, ...]
    rows: LabelledRows
    split: Split
    method: str
    leakage: pd.DataFrame
    records: tuple[EpochRecord, ...]
    kept: int
    metric: str
    dev: Scores
    test: Scores
    baseline: str
    predicted: np.ndarray
    compared: Comparison
    subsets: Mapping[str, Scores]

    @property
    def test_rows(self) -> np.ndarray:
        """The numbers of the test rows."""
        return self.split.rows("test")

    @property
    def value_of_dev(self) -> float:
        """The primary metric on dev, by which models are chosen."""
        return self.dev.values[self.model, self.metric]


def predictions_of(head: Head, found: Evaluation) -> np.ndarray:
    """Return what a network predicts (n, C): probabilities of all classes, or values (n, 1)."""
    values = head.predictions(torch.from_numpy(np.concatenate(found.logits))).numpy().astype(float)
    is_binary = head.structure.squashing == "sigmoid" and head.structure.outputs == 1
    return np.hstack([1 - values, values]) if is_binary else values


def of_all_rows(split: Split, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return predictions of parts (n of the part, C) as those of all rows (n, C), NaN for other rows."""
    width = next(iter(parts.values())).shape[1]
    found = np.full((len(split.parts), width), np.nan)
    for part, values in parts.items():
        found[split.rows(part)] = values
    return found


def scores_of(
    predictions: Mapping[str, np.ndarray], targets: Targets, split: Split, chosen: np.ndarray
) -> tuple[Scores, Mapping[str, Comparison]]:
    """Return the scores of predictions (n, C), by the names of models, on some rows, and what was compared."""
    comparisons = {name: targets.compare(predicted, chosen) for name, predicted in predictions.items()}
    return score(comparisons, split.clusters[chosen], targets.task_type), comparisons


def best_baseline(baselines: Mapping[str, np.ndarray], targets: Targets, split: Split, metric: str) -> str:
    """Return the baseline that is best on dev."""
    return choose(baselines, targets, split.rows("dev"), metric)


def scores_by_neighbours(
    predictions: Mapping[str, np.ndarray], targets: Targets, rows: LabelledRows, split: Split, neighbours: Neighbours
) -> dict[str, Scores]:
    """Return the scores of the test rows with and without a neighbour in train, at each identity that divides them."""
    test = split.rows("test")
    types = {rows.sequences[side].seq_type for side in rows.sides[test].ravel().tolist()}
    found = {}
    for identity in sorted({each for seq_type in types for each in IDENTITIES[seq_type]}):
        known = with_neighbour(rows, neighbours, identity)[test]
        if known.any() and not known.all():
            for chosen, word in ((~known, "without"), (known, "with")):
                scores, _ = scores_of(predictions, targets, split, test[chosen])
                found[f"{word} a neighbour at {identity:g}"] = scores
    return found


def write_metrics(path: Path, result: TrainingResult) -> None:
    """Write metrics.tsv: each metric of the model and the baselines on dev, test, and parts of test."""
    tables = [result.dev.table("dev"), result.test.table("test")]
    tables += [scores.table(f"test {words}") for words, scores in result.subsets.items()]
    write_table(path, pd.concat(tables, ignore_index=True))


def write_curves(path: Path, records: Sequence[EpochRecord]) -> None:
    """Write curves.tsv: a row for each epoch."""
    rows = [
        {
            "epoch": record.epoch,
            "step": record.step,
            "learning_rate": record.rate,
            "train_loss": record.train_loss,
            "improved": int(record.improved),
            **_numbers("dev", record.dev),
            **_numbers("test", record.test),
        }
        for record in records
    ]
    write_table(path, pd.DataFrame(rows))


def _numbers(part: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in metrics.items() if not isinstance(value, list | dict)}


def write_predictions(path: Path, result: TrainingResult) -> None:
    """Write predictions.csv: a row for each row of dev and test, in the order of the dataset."""
    rows, split = result.rows, result.split
    chosen = np.flatnonzero(np.isin(split.parts, _PARTS))
    table = pd.DataFrame(
        {
            "id": [rows.ids[each] for each in chosen.tolist()],
            "split": split.parts[chosen],
            "cluster": split.clusters[chosen],
            "label": [rows.labels[each] for each in chosen.tolist()],
            **_cells(result, result.predicted[chosen]),
        }
    )
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.9g")


def _cells(result: TrainingResult, predicted: np.ndarray) -> dict[str, Any]:
    """Return the columns of what is predicted (n, C): a label and its probability, or a value."""
    task_type, classes = result.options.task_type, result.classes
    if task_type == "regression":
        return {"predicted": predicted[:, 0]}
    if task_type == "multi_label":
        sets = [[classes[each] for each in np.flatnonzero(row >= 0.5).tolist()] for row in predicted]
        return {
            "predicted": [json.dumps(names, ensure_ascii=False) for names in sets],
            "probability": [json.dumps([round(value, 6) for value in row.tolist()]) for row in predicted],
        }
    best = predicted.argmax(axis=1) if task_type == "multi_class" else (predicted[:, 1] >= 0.5).astype(int)
    return {
        "predicted": [classes[each] for each in best.tolist()],
        "probability": predicted[np.arange(len(best)), best] if task_type == "multi_class" else predicted[:, 1],
    }
