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
from lucaflow.training.scored import PARTS_SCORED, Scored
from lucaflow.training.splits import LabelledRows, Split
from lucaflow.training.state import EpochRecord
from lucaflow.training.statistics import Scores, score


@dataclass(frozen=True)
class TrainingResult:
    """A trained model, the rows it was trained on, and how good it is.

    model: its name in the scores, that of the encoder; classes: names in the order of the outputs; split: of the rows;
    method: of the split; leakage: leakage.tsv; records: of the epochs; kept: the epoch whose weights were kept; metric:
    the primary one; dev, test: scores of the model and the baselines; baseline: the best of them by dev; scored: the
    rows, or the residues, that have scores; predicted: (N, C) of these, probabilities or values, NaN for rows that are
    neither dev nor test; compared: those of test; subsets: scores of those of test with and without a neighbour in
    train, by their description; residues: the labels (n,) or (n, C) of the residues of each part, if these have labels.
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
    scored: Scored
    predicted: np.ndarray
    compared: Comparison
    subsets: Mapping[str, Scores]
    residues: Mapping[str, np.ndarray] | None = None

    @property
    def tested(self) -> np.ndarray:
        """The numbers of the scored rows or residues of test."""
        return self.scored.split.rows("test")

    @property
    def value_of_dev(self) -> float:
        """The primary metric on dev, by which models are chosen."""
        return self.dev.values[self.model, self.metric]


def predictions_of(head: Head, found: Evaluation) -> np.ndarray:
    """Return what a network predicts of rows (n, C): probabilities of all classes, or values (n, 1)."""
    return predictions_from(head, np.concatenate(found.logits))


def predictions_from(head: Head, logits: np.ndarray) -> np.ndarray:
    """Return what outputs (n, C) of a network say: probabilities of all classes, or values (n, 1)."""
    values = head.predictions(torch.from_numpy(logits)).numpy().astype(float)
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
    """Return the scores of predictions (N, C), by the names of models, and what was compared.

    split: of the scored rows or residues; chosen: the numbers of those that count.
    """
    comparisons = {name: targets.compare(predicted, chosen) for name, predicted in predictions.items()}
    return score(comparisons, split.clusters[chosen], targets.task_type), comparisons


def best_baseline(baselines: Mapping[str, np.ndarray], targets: Targets, split: Split, metric: str) -> str:
    """Return the baseline that is best on dev."""
    return choose(baselines, targets, split.rows("dev"), metric)


def scores_by_neighbours(
    predictions: Mapping[str, np.ndarray], scored: Scored, rows: LabelledRows, neighbours: Neighbours
) -> dict[str, Scores]:
    """Return the scores of test with and without a neighbour in train, at each identity that divides it."""
    test = scored.split.rows("test")
    of_rows = scored.rows[test]
    types = {rows.sequences[side].seq_type for side in np.unique(rows.sides[of_rows]).tolist()}
    found = {}
    for identity in sorted({each for seq_type in types for each in IDENTITIES[seq_type]}):
        known = with_neighbour(rows, neighbours, identity)[of_rows]
        if known.any() and not known.all():
            for chosen, word in ((~known, "without"), (known, "with")):
                scores, _ = scores_of(predictions, scored.targets, scored.split, test[chosen])
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
    """Write predictions.csv: a row for each row of dev and test, or each of their residues, in the order of the
    dataset."""
    rows, scored = result.rows, result.scored
    chosen = np.flatnonzero(np.isin(scored.split.parts, PARTS_SCORED))
    of_rows = scored.rows[chosen].tolist()
    table = pd.DataFrame(
        {
            "id": [rows.ids[each] for each in of_rows],
            "split": scored.split.parts[chosen],
            "cluster": scored.split.clusters[chosen],
            **(_labels_of_residues(result) if scored.positions is not None else {}),
            **({} if scored.positions is not None else {"label": [rows.labels[each] for each in of_rows]}),
            **_cells(result, result.predicted[chosen]),
        }
    )
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.9g")


def _labels_of_residues(result: TrainingResult) -> dict[str, Any]:
    """Return the columns of the residues that are scored: position from 1 on, letter and label."""
    scored, rows, classes = result.scored, result.rows, result.classes
    if scored.positions is None:
        raise ValueError("whole rows are scored, expected residues")
    sides = rows.sides[scored.rows, 0].tolist()
    places = scored.positions.tolist()
    letters = [rows.sequences[side].residues[place] for side, place in zip(sides, places, strict=True)]
    values = scored.targets.values
    if result.options.task_type == "regression":
        labels: Any = values
    elif values.ndim == 2:
        labels = _sets(values, classes)
    else:
        labels = [classes[each] for each in values.tolist()]
    return {"position": scored.positions + 1, "residue": letters, "label": labels}


def _sets(chosen: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Return the names of the classes chosen (n, C) as JSON lists."""
    sets = ([classes[each] for each in np.flatnonzero(row).tolist()] for row in chosen)
    return [json.dumps(names, ensure_ascii=False) for names in sets]


def _cells(result: TrainingResult, predicted: np.ndarray) -> dict[str, Any]:
    """Return the columns of what is predicted (n, C): a label and its probability, or a value."""
    task_type, classes = result.options.task_type, result.classes
    if task_type == "regression":
        return {"predicted": predicted[:, 0]}
    if task_type == "multi_label":
        return {
            "predicted": _sets(predicted >= 0.5, classes),
            "probability": [json.dumps([round(value, 6) for value in row.tolist()]) for row in predicted],
        }
    best = predicted.argmax(axis=1) if task_type == "multi_class" else (predicted[:, 1] >= 0.5).astype(int)
    return {
        "predicted": [classes[each] for each in best.tolist()],
        "probability": predicted[np.arange(len(best)), best] if task_type == "multi_class" else predicted[:, 1],
    }
