"""Train the downstream model of a task on the embeddings by one encoder, and compare it with baselines."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lucaflow.downstream.inputs import LONGEST_COMPLETE
from lucaflow.engine.devices import set_matmul_precision
from lucaflow.files.locks import locked
from lucaflow.records.counts import counted
from lucaflow.training.baselines import baseline_predictions
from lucaflow.training.batches import Example
from lucaflow.training.clusters import PARTS
from lucaflow.training.initial import new_head
from lucaflow.training.labelled import labels_by_name, ordered_classes, targets_of
from lucaflow.training.leakage import Neighbours
from lucaflow.training.options import TrainingOptions, structure_of
from lucaflow.training.requested import RequestedTraining
from lucaflow.training.residue_baselines import residue_baselines
from lucaflow.training.results import (
    TrainingResult,
    best_baseline,
    of_all_rows,
    predictions_from,
    predictions_of,
    scores_by_neighbours,
    scores_of,
)  # fmt: skip
from lucaflow.training.scored import (
    Scored,
    labels_of_part,
    outputs_of_residues,
    residue_targets,
    scored_residues,
    scored_rows,
)  # fmt: skip
from lucaflow.training.splits import LabelledRows, Split
from lucaflow.training.stored import StoredEmbeddings
from lucaflow.training.trainer import Trained, TrainingData, digest_of_training, train

logger = logging.getLogger(__name__)

# Seconds to wait for another job of the same training, for example of a Snakemake that was killed.
_LOCK_TIMEOUT = 600
_STATE, _LOCK = ".training.state", ".training.lock"


@dataclass(frozen=True)
class Divided:
    """The labelled rows of a task, and the part of each.

    leakage: leakage.tsv; classes: their names in a stated order, that of LucaOneTasks' label.txt; without it, they are
    sorted.
    """

    rows: LabelledRows
    split: Split
    neighbours: Neighbours
    leakage: pd.DataFrame
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finished:
    """A finished training. digest: the SHA-256 of all that the weights depend on."""

    trained: Trained
    result: TrainingResult
    digest: str


def train_task(
    training: RequestedTraining, model: str, divided: Divided, embeddings: StoredEmbeddings, width: int,
    embedding_digest: str, device: torch.device, folder: Path,
) -> Finished:  # fmt: skip
    """Train the model of a task, and return it with its scores.

    model: the name of the encoder; width: E of its embeddings; embedding_digest: says which embeddings these are;
    folder: of the results, where the state of the training is kept, with which it goes on after an interruption.
    """
    set_matmul_precision("float32")
    rows, split, options = divided.rows, divided.split, training.options
    classes = ordered_classes(rows, split, options, divided.classes)
    labels = labels_of(divided, options, classes)
    say_what_is_cut(divided, options)
    head = new_head(structure_of(options, (width,) * options.sides, max(1, len(classes))), options.seed)
    data = examples_of(rows, split, labels.values)
    # Before the training, which changes the weights.
    digest = digest_of_training(head, data, options, embedding_digest)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / _LOCK, f"training {training.task}", timeout=_LOCK_TIMEOUT):
        trained = train(
            head, data, options, embeddings.embedding, folder / _STATE, device, embedding_digest=embedding_digest
        )
    trained.head.to("cpu")
    return Finished(trained, result_of(training, model, divided, labels, classes, embeddings, trained), digest)


def forget_state(folder: Path) -> None:
    """Remove the state of a training whose results are written."""
    for name in (_STATE, _LOCK):
        (folder / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Labels:
    """values: (n,) the label of each row, or those of its residues, as the trainer reads them; scored: what has a score
    in the end."""

    values: Sequence[np.ndarray]
    scored: Scored


def labels_of(divided: Divided, options: TrainingOptions, classes: Sequence[str]) -> Labels:
    """Return the labels of whole rows, or of their residues."""
    rows, split = divided.rows, divided.split
    reading = labels_by_name(options, divided.classes)
    if not options.is_token_level:
        targets = targets_of(rows, split, reading, classes)
        return Labels(list(targets.values.astype(np.float32)), scored_rows(targets, split))
    values = residue_targets(rows, split, reading, classes)
    return Labels(values, scored_residues(values, split, options, classes))


def examples_of(rows: LabelledRows, split: Split, values: Sequence[np.ndarray]) -> TrainingData:
    """Return the rows of each part as the trainer reads them. values: (n,) the label of each."""

    def examples(part: str) -> tuple[Example, ...]:
        numbers = split.rows(part).tolist()
        keys = ([rows.sequences[side].digest for side in rows.sides[each].tolist()] for each in numbers)
        return tuple(
            Example(rows.ids[each], tuple(key), np.asarray(values[each]))
            for each, key in zip(numbers, keys, strict=True)
        )

    return TrainingData(examples("train"), examples("dev"), examples("test"))


def say_what_is_cut(divided: Divided, options: TrainingOptions) -> None:
    """Log how many sequences are longer than what is read of them."""
    lengths = [len(sequence.residues) for sequence in divided.rows.sequences]
    most = read_at_most(options)
    longer = sum(length > most for length in lengths)
    if longer:
        why = "That is the most of a vector" if options.reads_vectors else "matrix_max_length sets that"
        logger.warning(
            "%s of %d longer than the first %d residues, which are read. %s.",
            counted(longer, "sequence"), len(lengths), most, why,
        )  # fmt: skip


def read_at_most(options: TrainingOptions) -> int:
    """Return how many residues of a sequence are read, from the first on."""
    return LONGEST_COMPLETE if options.reads_vectors else options.longest


def mean_vectors(rows: LabelledRows, split: Split, embeddings: StoredEmbeddings, width: int) -> list[np.ndarray]:
    """Return the mean vectors (n, E) of each side; zeros for rows that are left out."""
    used = np.unique(rows.sides[np.isin(split.parts, ("train", "dev", "test"))])
    found = np.zeros((len(rows.sequences), width), dtype=np.float32)
    for each in used.tolist():
        found[each] = embeddings.mean(rows.sequences[each].digest)
    return [found[side] for side in rows.sides.T]


def result_of(
    training: RequestedTraining, model: str, divided: Divided, labels: Labels, classes: Sequence[str],
    embeddings: StoredEmbeddings, trained: Trained,
) -> TrainingResult:  # fmt: skip
    """Return the scores of a trained model and of the baselines."""
    rows, split, scored = divided.rows, divided.split, labels.scored
    predicted = predicted_by(trained, training.options, split, scored)
    baselines = baselines_of(divided, labels, embeddings, trained.head.structure.inputs[0])
    every = {model: predicted, **baselines}
    dev, _ = scores_of(every, scored.targets, scored.split, scored.split.rows("dev"))
    test, comparisons = scores_of(every, scored.targets, scored.split, scored.split.rows("test"))
    return TrainingResult(
        dataset=training.dataset,
        task=training.task,
        model=model,
        options=training.options,
        classes=tuple(classes),
        rows=rows,
        split=split,
        method=training.split.method,
        leakage=divided.leakage,
        records=trained.records,
        kept=trained.best.epoch,
        metric=training.primary,
        dev=dev,
        test=test,
        baseline=best_baseline(baselines, scored.targets, scored.split, training.primary),
        scored=scored,
        predicted=predicted,
        compared=comparisons[model],
        subsets=scores_by_neighbours(every, scored, rows, divided.neighbours),
        residues=None if scored.positions is None else {p: labels_of_part(labels.values, split, p) for p in PARTS},
    )


def predicted_by(trained: Trained, options: TrainingOptions, split: Split, scored: Scored) -> np.ndarray:
    """Return the predictions of the network (N, C) for the scored rows or residues."""
    parts = {"dev": trained.dev, "test": trained.test}
    if scored.positions is None:
        return of_all_rows(split, {part: predictions_of(trained.head, found) for part, found in parts.items()})
    logits = {
        row: values
        for part, found in parts.items()
        for row, values in zip(split.rows(part).tolist(), found.logits, strict=True)
    }
    return predictions_from(trained.head, outputs_of_residues(scored, logits, options))


def baselines_of(
    divided: Divided, labels: Labels, embeddings: StoredEmbeddings, width: int
) -> Mapping[str, np.ndarray]:
    """Return the predictions of the baselines (N, C) for the scored rows or residues. width: E of the embeddings."""
    rows, split, scored = divided.rows, divided.split, labels.scored
    if scored.positions is not None:
        return residue_baselines(rows, split, labels.values, scored)
    vectors = mean_vectors(rows, split, embeddings, width)
    return baseline_predictions(rows, split, scored.targets, divided.neighbours, vectors)
