"""Write the nearest neighbours of a dataset's records, the labels they suggest, and how often these are right."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from lucaflow.files.writing import replacing
from lucaflow.neighbours.labels import (
    Agreement,
    Precision,
    Vote,
    agreement,
    by_permuted_labels,
    composition,
    labels_of_sequences,
    precision_by_similarity,
    vote,
)
from lucaflow.neighbours.search import Neighbours, nearest
from lucaflow.records.columns import MISSING
from lucaflow.records.sequences import read_sequences
from lucaflow.records.table import accepted_records
from lucaflow.store.embeddings import Embeddings

logger = logging.getLogger(__name__)

COLUMNS = ("id", "rank", "neighbour", "similarity", "label", "neighbour_label")
TRANSFERRED_COLUMNS = ("id", "label", "similarity", "votes", "precision_at_similarity", "label_given")
METRIC_COLUMNS = ("vectors", "metric", "value", "low", "high", "sequences")
MOST_BY_DEFAULT = 20_000
K_BY_DEFAULT = 10
_ROWS_AT_ONCE = 1_000_000
# The words whose shares are compared beside embeddings.
_WORDS = {"prot": ("ACDEFGHIKLMNPQRSTVWY", 1), "gene": ("ACGT", 3)}


@dataclass(frozen=True)
class Labelled:
    """The records of a dataset, its distinct sequences, and their neighbours.

    ids, labels: (N,) of each record, an empty label for none; sequence: (N,) the row of its distinct sequence; digests:
    (U,) of the distinct sequences; neighbours: of these; codes: (U,) their labels, as places in `names`, -1 for none.
    """

    ids: np.ndarray
    labels: pd.Series
    sequence: np.ndarray
    digests: np.ndarray
    neighbours: Neighbours
    codes: np.ndarray
    names: Sequence[str]

    @cached_property
    def first(self) -> np.ndarray:
        """The first record (U,) of each distinct sequence, which is named as a neighbour."""
        return np.unique(self.sequence, return_index=True)[1]


@dataclass(frozen=True)
class LabelsCompared:
    """How often labels that neighbours suggest are right. metrics: a table; sentence: the same in words."""

    metrics: pd.DataFrame
    sentence: str

    @classmethod
    def none(cls, why: str) -> LabelsCompared:
        return cls(pd.DataFrame(columns=list(METRIC_COLUMNS)), f"Labels were not compared: {why}.")


def search_dataset(
    embeddings_path: Path, records: Path, labels: Path, vector: str, k: int | Literal["auto"]
) -> Labelled:
    """Search for the k nearest neighbours of each distinct sequence of a dataset among the others.

    k: `auto` is 10 for up to 20,000 distinct sequences, else 0, which is said in the log.
    """
    with Embeddings(embeddings_path) as embeddings:
        vectors = embeddings.file[vector]
        if k == "auto" and len(vectors) > MOST_BY_DEFAULT:
            logger.info(
                "no neighbours are listed, since there are more than %s distinct sequences. A number as neighbours.k "
                "lists them all the same.", f"{MOST_BY_DEFAULT:,}",
            )  # fmt: skip
            k = 0
        found = nearest(vectors, K_BY_DEFAULT if k == "auto" else k)
        ids, sequence = np.array(embeddings.ids, dtype=object), embeddings.file["sequence"][:]
        digests = embeddings.file["digests"][:]
    text = pd.concat([part["label"] for part in accepted_records(records, ["id"], labels)]).fillna("")
    text = text.where(~text.isin(MISSING), "")
    codes, names, contradictory = labels_of_sequences(text, sequence, len(digests))
    if contradictory:
        logger.warning("%d sequences have records with different labels; they have no vote", contradictory)
    return Labelled(ids, text, sequence, digests, found, codes, names)


def write_neighbours(dataset: Labelled, path: Path) -> None:
    """Write a row for each record and each of its neighbours, the most similar first.

    A neighbour is another sequence, named by the first of its records.
    """
    with replacing(path) as temporary:
        write_tsv(pd.DataFrame(columns=list(COLUMNS)), temporary)
        for part in _parts_of(dataset):
            write_tsv(part, temporary, more=True)


def _parts_of(dataset: Labelled) -> Iterator[pd.DataFrame]:
    k = dataset.neighbours.rows.shape[1]
    at_once = max(1, _ROWS_AT_ONCE // max(1, k))
    names, labels = dataset.ids[dataset.first], dataset.labels.to_numpy()
    of_sequences = np.array([*dataset.names, ""], dtype=object)[dataset.codes]
    for start in range(0, len(dataset.ids), at_once):
        part = slice(start, start + at_once)
        rows = dataset.neighbours.rows[dataset.sequence[part]].ravel()
        columns = {
            "id": np.repeat(dataset.ids[part], k),
            "rank": np.tile(np.arange(1, k + 1), len(dataset.ids[part])),
            "neighbour": names[rows],
            "similarity": dataset.neighbours.similarity[dataset.sequence[part]].ravel(),
            "label": np.repeat(labels[part], k),
            "neighbour_label": of_sequences[rows],
        }
        yield pd.DataFrame(columns)[rows >= 0]


def write_labels(dataset: Labelled, sequences: Path, model: str, path: Path, are_numbers: bool) -> LabelsCompared:
    """Write the label that the neighbours of each record suggest, and return how often such labels are right.

    sequences: the distinct sequences as FASTA; model: the name of the model; path: of the table; are_numbers: whether
    the labels are measured values, which are no classes: then the table has no rows.
    """
    if why_not := _not_comparable(dataset, are_numbers):
        with replacing(path) as temporary:
            write_tsv(pd.DataFrame(columns=list(TRANSFERRED_COLUMNS)), temporary)
        return LabelsCompared.none(why_not)
    suggested = vote(dataset.neighbours, dataset.codes)
    precision = precision_by_similarity(suggested, dataset.codes)
    with_none = np.array([*dataset.names, ""], dtype=object)
    rows = dataset.sequence
    table = {
        "id": dataset.ids,
        "label": with_none[suggested.label[rows]],
        "similarity": suggested.similarity[rows],
        "votes": [f"{votes}/{of}" for votes, of in zip(suggested.votes[rows], suggested.of[rows], strict=True)],
        "precision_at_similarity": precision.at(suggested.similarity)[rows],
        "label_given": dataset.labels.to_numpy(),
    }
    with replacing(path) as temporary:
        write_tsv(pd.DataFrame(table, columns=list(TRANSFERRED_COLUMNS)), temporary)
    return _compared(dataset, suggested, precision, sequences, model)


def _not_comparable(dataset: Labelled, are_numbers: bool) -> str:
    """Return why labels cannot be compared; an empty text if they can."""
    if not dataset.neighbours.rows.shape[1]:
        return "no neighbours are listed"
    if are_numbers:
        return "they are numbers"
    return "" if (dataset.codes >= 0).sum() > 1 else "fewer than two sequences have a label of their own"


def _compared(dataset: Labelled, suggested: Vote, precision: Precision, sequences: Path, model: str) -> LabelsCompared:
    codes, known = dataset.codes, dataset.codes >= 0
    k = min(dataset.neighbours.rows.shape[1], len(codes) - 1)
    of_composition, words = _by_composition(dataset, sequences)
    right = {
        model: (suggested.label[known] == codes[known], codes[known]),
        f"{words} composition": (vote(of_composition, codes).label[known] == codes[known], codes[known]),
        "labels dealt at random": by_permuted_labels(dataset.neighbours, codes),
    }
    found = {name: agreement(*of) for name, of in right.items()}
    rows = [(name, "accuracy", *_numbers(of)) for name, of in found.items()]
    rows += [(name, "balanced accuracy", *_numbers(agreement(*of, balanced=True))) for name, of in right.items()]
    rows += [
        (model, f"precision at similarity {low:.1f} to {low + 0.1:.1f}", share, np.nan, np.nan, count)
        for low, share, count in zip(precision.low, precision.share, precision.count, strict=True)
        if count
    ]
    (of_model, *others) = (f"{of.value:.0%} ({of.low:.0%} to {of.high:.0%})" for of in found.values())
    sentence = (
        f"By the votes of {k} neighbours {of_model} of {found[model].sequences:,} labelled sequences get their own "
        f"label; by {words} composition {others[0]}; with labels dealt at random {others[1]}."
    )
    return LabelsCompared(pd.DataFrame(rows, columns=list(METRIC_COLUMNS)), sentence)


def _by_composition(dataset: Labelled, sequences: Path) -> tuple[Neighbours, str]:
    """Return the neighbours of the distinct sequences by the words they are made of, and the name of these words."""
    distinct = {sequence.digest: sequence for sequence in read_sequences(sequences)}
    in_order = [distinct[digest] for digest in dataset.digests.astype(str)]
    letters, length = _WORDS[in_order[0].seq_type]
    vectors = composition([sequence.residues for sequence in in_order], letters, length)
    return nearest(vectors, dataset.neighbours.rows.shape[1]), "amino-acid" if length == 1 else f"{length}-mer"


def _numbers(of: Agreement) -> tuple[float, float, float, int]:
    return of.value, of.low, of.high, of.sequences


def write_tsv(table: pd.DataFrame, path: Path, more: bool = False) -> None:
    """Write a table, or add rows to one. Numbers have four digits, and a number that is not stated is `-`."""
    table.to_csv(
        path, sep="\t", index=False, header=not more, mode="a" if more else "w", float_format="%.4f", na_rep="-",
        lineterminator="\n",
    )  # fmt: skip
