"""What is scored: the rows of a table, or their residues?

A task of whole sequences has a label and a prediction for each row. A task of residues has one for each of them; those
of a row are in its part and its cluster, so that the same clusters are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lucaflow.training.baselines import Targets
from lucaflow.training.labels import target_of
from lucaflow.training.options import TrainingOptions
from lucaflow.training.splits import LEFT_OUT, LabelledRows, Split

PARTS_SCORED = ("dev", "test")


@dataclass(frozen=True)
class Scored:
    """What has a label and a prediction: N rows, or N residues of dev and test.

    targets: their labels; split: part and cluster of each; rows: (N,) the row of the table that each is of; positions:
    (N,) from 0 on, of residues; None for whole rows.
    """

    targets: Targets
    split: Split
    rows: np.ndarray
    positions: np.ndarray | None = None

    @property
    def unit(self) -> str:
        """What each is, as a word."""
        return "row" if self.positions is None else "residue"


def scored_rows(targets: Targets, split: Split) -> Scored:
    """Return all rows, each of which is scored."""
    return Scored(targets, split, np.arange(len(split.parts)))


def residue_targets(
    rows: LabelledRows, split: Split, options: TrainingOptions, classes: Sequence[str]
) -> list[np.ndarray]:
    """Return the labels (k,) or (k, C) of the k residues of each row, NaN for one without; none of rows left out."""
    known: dict[str, np.ndarray] = {}
    nothing = np.zeros((0, len(classes)) if options.task_type == "multi_label" else 0, dtype=np.float32)
    found = []
    for text, part in zip(rows.labels, split.parts.tolist(), strict=True):
        if part == LEFT_OUT:
            found.append(nothing)
            continue
        if text not in known:
            known[text] = target_of(text, options, classes)
        found.append(known[text])
    return found


def scored_residues(
    labels: Sequence[np.ndarray], split: Split, options: TrainingOptions, classes: Sequence[str]
) -> Scored:
    """Return the residues of dev and test with a label that the network reads, in the order of rows and positions.

    labels: of the residues of each row, as `residue_targets` returns them.
    """
    chosen = np.flatnonzero(np.isin(split.parts, PARTS_SCORED)).tolist()
    places = [np.flatnonzero(is_labelled(labels[row][: options.longest])) for row in chosen]
    owner = np.repeat(np.array(chosen, dtype=int), [len(each) for each in places])
    found = [labels[row][place] for row, place in zip(chosen, places, strict=True)]
    values = np.concatenate(found)
    values = values.astype(float if options.task_type == "regression" else int)
    of_residues = Split(split.parts[owner], split.reasons[owner], split.clusters[owner], split.notes)
    targets = Targets(options.task_type, values, max(1, len(classes)))
    return Scored(targets, of_residues, owner, np.concatenate(places))


def is_labelled(labels: np.ndarray) -> np.ndarray:
    """Return which residues (k,) have a label; labels: (k,) or (k, C)."""
    there = ~np.isnan(labels)
    return np.asarray(there.any(axis=1) if there.ndim == 2 else there)


def labels_of_part(labels: Sequence[np.ndarray], split: Split, part: str) -> np.ndarray:
    """Return the labels (n,) or (n, C) of all labelled residues of a part."""
    found = [labels[row] for row in split.rows(part).tolist()]
    return np.concatenate([each[is_labelled(each)] for each in found])


def outputs_of_residues(scored: Scored, logits: Mapping[int, np.ndarray], options: TrainingOptions) -> np.ndarray:
    """Return the outputs (N, C) of the residues that are scored.

    logits: (k, C) of each row, with the rows before and after the residues.
    """
    if scored.positions is None:
        raise ValueError("whole rows are scored, expected residues")
    first = int(options.frame or options.matrix_add_special_token)
    chosen, starts = np.unique(scored.rows, return_index=True)
    ends = [*starts[1:].tolist(), len(scored.rows)]
    found = [
        logits[row][scored.positions[start:end] + first]
        for row, start, end in zip(chosen.tolist(), starts.tolist(), ends, strict=True)
    ]
    return np.concatenate(found)
