"""How often are the labels right that neighbours suggest, and is that more than composition gives?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lucaflow.neighbours.datasets import Labelled, Searched
from lucaflow.neighbours.labels import (
    Agreement,
    Precision,
    Vote,
    agreement,
    by_permuted_labels,
    composition,
    precision_by_similarity,
    vote,
)
from lucaflow.neighbours.search import Neighbours, nearest
from lucaflow.records.sequences import NormalisedSequence, read_sequences

METRIC_COLUMNS = ("vectors", "metric", "value", "low", "high", "sequences")
# The words whose shares are compared beside embeddings.
_WORDS = {"prot": ("ACDEFGHIKLMNPQRSTVWY", 1), "gene": ("ACGT", 3)}


@dataclass(frozen=True)
class Suggested:
    """The labels that neighbours suggest for the distinct sequences (U,) of a dataset, and how often such are right."""

    by_vectors: Vote
    precision: Precision


@dataclass(frozen=True)
class LabelsCompared:
    """How often labels that neighbours suggest are right. metrics: a table; sentence: the same in words."""

    metrics: pd.DataFrame
    sentence: str
    suggested: Suggested | None = None

    @classmethod
    def none(cls, why: str) -> LabelsCompared:
        return cls(pd.DataFrame(columns=list(METRIC_COLUMNS)), f"Labels were not compared: {why}.")


def compare_labels(searched: Searched, sequences: Path, model: str, are_numbers: bool) -> LabelsCompared:
    """Return the labels that neighbours suggest, and how often such labels are right.

    sequences: the distinct sequences of the reference as FASTA; model: the name of the model; are_numbers: whether the
    labels are measured values, which are no classes.
    """
    if why_not := _not_comparable(searched, are_numbers):
        return LabelsCompared.none(why_not)
    reference, codes = searched.reference, searched.reference.codes[searched.left_out]
    known = codes >= 0
    neighbours = searched.left_out_neighbours
    suggested = vote(neighbours, reference.codes)
    precision = precision_by_similarity(suggested, codes)
    of_composition, words = _by_composition(searched, in_order_of(reference, read_sequences(sequences)))
    right = {
        model: (suggested.label[known] == codes[known], codes[known]),
        f"{words} composition": (vote(of_composition, reference.codes).label[known] == codes[known], codes[known]),
        "labels dealt at random": by_permuted_labels(neighbours, reference.codes, searched.left_out),
    }
    found = {name: agreement(*of) for name, of in right.items()}
    rows = [(name, "accuracy", *_numbers(of)) for name, of in found.items()]
    rows += [(name, "balanced accuracy", *_numbers(agreement(*of, balanced=True))) for name, of in right.items()]
    by_neighbours = suggested if searched.is_own else vote(searched.neighbours, reference.codes)
    if not searched.is_own:
        rows += _of_own_labels(searched, by_neighbours, model)
    rows += [
        (model, f"precision at similarity {low:.1f} to {low + 0.1:.1f}", share, np.nan, np.nan, count)
        for low, share, count in zip(precision.low, precision.share, precision.count, strict=True)
        if count
    ]
    metrics = pd.DataFrame(rows, columns=list(METRIC_COLUMNS))
    return LabelsCompared(metrics, _sentence(searched, found, words), Suggested(by_neighbours, precision))


def _not_comparable(searched: Searched, are_numbers: bool) -> str:
    """Return why labels cannot be compared; an empty text if they can."""
    if not searched.neighbours.rows.shape[1]:
        return "no neighbours are listed"
    if are_numbers:
        return "they are numbers"
    known = (searched.reference.codes >= 0).sum()
    return "" if known > 1 else "fewer than two sequences have a label of their own"


def _sentence(searched: Searched, found: dict[str, Agreement], words: str) -> str:
    k = min(searched.neighbours.rows.shape[1], len(searched.reference.codes) - 1)
    of_model, *others = (f"{of.value:.0%} ({of.low:.0%} to {of.high:.0%})" for of in found.values())
    count = next(iter(found.values())).sequences
    whose = "" if searched.is_own else " of the reference"
    return (
        f"By the votes of {k} neighbours {of_model} of {count:,} labelled sequences{whose} get their own label; by "
        f"{words} composition {others[0]}; with labels dealt at random {others[1]}."
    )


def _of_own_labels(searched: Searched, suggested: Vote, model: str) -> list[tuple]:
    """Return how often the reference suggests the labels that the dataset has itself, if it has any."""
    place = {name: number for number, name in enumerate(searched.reference.names)}
    names = np.array([place.get(name, -2) for name in searched.dataset.names] + [-1])
    own = names[searched.dataset.codes]
    known = own != -1
    if not known.any():
        return []
    return [(model, "accuracy for the dataset's own labels", *_numbers(
        agreement(suggested.label[known] == own[known], np.maximum(own[known], 0))
    ))]  # fmt: skip


def in_order_of(dataset: Labelled, sequences: list[NormalisedSequence]) -> list[NormalisedSequence]:
    """Return the distinct sequences (U,) of a dataset in the order of its digests."""
    by_digest = {sequence.digest: sequence for sequence in sequences}
    return [by_digest[digest] for digest in dataset.digests.astype(str)]


def _by_composition(searched: Searched, sequences: list[NormalisedSequence]) -> tuple[Neighbours, str]:
    """Return the neighbours of the sequences that are left out by the words they are made of, and these words' name."""
    letters, length = _WORDS[sequences[0].seq_type]
    vectors = composition([sequence.residues for sequence in sequences], letters, length)
    rows, k = searched.left_out, searched.neighbours.rows.shape[1]
    return nearest(vectors[rows], k, vectors, rows), "amino-acid" if length == 1 else f"{length}-mer"


def _numbers(of: Agreement) -> tuple[float, float, float, int]:
    return of.value, of.low, of.high, of.sequences
