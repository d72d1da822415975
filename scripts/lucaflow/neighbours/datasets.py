"""Which records and labels belong to the vectors that are compared, and which vectors are their neighbours?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from lucaflow.config.neighbours import MOST_BY_DEFAULT, NeighbourOptions
from lucaflow.neighbours.labels import labels_of_sequences
from lucaflow.neighbours.nearest_file import Nearest, read_nearest
from lucaflow.neighbours.search import Neighbours, mean_of, nearest, rank_of
from lucaflow.records.columns import MISSING
from lucaflow.records.table import accepted_records
from lucaflow.store.embeddings import Embeddings
from lucaflow.store.format import read_rows

logger = logging.getLogger(__name__)

# Labelled sequences of another dataset that are left out one by one, to see how often their labels are found.
MOST_LEFT_OUT = 20_000


@dataclass(frozen=True)
class Files:
    """The files of a dataset whose vectors are compared. sequences: the distinct sequences as FASTA."""

    embeddings: Path
    records: Path
    labels: Path
    sequences: Path


@dataclass(frozen=True)
class Labelled:
    """The records of a dataset and the labels of its distinct sequences.

    ids, labels: (N,) of each record, an empty label for none; sequence: (N,) the row of its distinct sequence; digests:
    (U,) of the distinct sequences; codes: (U,) their labels, as places in `names`, -1 for none.
    """

    ids: np.ndarray
    labels: pd.Series
    sequence: np.ndarray
    digests: np.ndarray
    codes: np.ndarray
    names: Sequence[str]

    @classmethod
    def read(cls, embeddings: Embeddings, files: Files) -> Labelled:
        ids, sequence = np.array(embeddings.ids, dtype=object), embeddings.file["sequence"][:]
        digests = embeddings.file["digests"][:]
        text = pd.concat([part["label"] for part in accepted_records(files.records, ["id"], files.labels)]).fillna("")
        text = text.where(~text.isin(MISSING), "")
        codes, names, contradictory = labels_of_sequences(text, sequence, len(digests))
        if contradictory:
            logger.warning(
                "%s: %d sequences have records with different labels; they have no vote",
                embeddings.attrs["dataset"], contradictory,
            )  # fmt: skip
        return cls(ids, text, sequence, digests, codes, names)

    @cached_property
    def first(self) -> np.ndarray:
        """The first record (U,) of each distinct sequence, which is named as a neighbour."""
        return np.unique(self.sequence, return_index=True)[1]

    def rows_of(self, digests: np.ndarray) -> np.ndarray:
        """Return the row (n,) of each sequence by its digest (n,), -1 for one that is not there."""
        order = np.argsort(self.digests)
        found = order[np.minimum(np.searchsorted(self.digests, digests, sorter=order), len(order) - 1)]
        return np.where(self.digests[found] == digests, found, -1)


@dataclass(frozen=True)
class Searched:
    """The distinct sequences of a dataset, and their neighbours in a reference.

    reference: the dataset itself, if no other is searched; neighbours: (U, k) rows of the reference; centre: (H,) the
    mean of the reference's vectors. Labelled sequences of the reference are left out one by one, at most 20,000:
    left_out: (E,) their rows, ascending, left_out_vectors: (E, H), left_out_neighbours: (E, k) rows of the reference.
    vectors: (U, H) of the dataset, None of more than 20,000 or without neighbours; recall: (S,) of an approximate
    search, for a sample of the sequences, None of the exact search.
    """

    dataset: Labelled
    reference: Labelled
    neighbours: Neighbours
    centre: np.ndarray
    left_out: np.ndarray
    left_out_vectors: np.ndarray
    left_out_neighbours: Neighbours
    vectors: np.ndarray | None = None
    recall: np.ndarray | None = None

    @property
    def is_own(self) -> bool:
        """Whether the neighbours of a dataset are among its own sequences."""
        return self.reference is self.dataset


def search_dataset(
    files: Files, options: NeighbourOptions, reference: Files | None = None, found: Path | None = None
) -> Searched:
    """Search for the nearest neighbours of each distinct sequence of a dataset among the others, or in a reference.

    Of sequences in both, each is left out of its own neighbours. Equally similar ones are in the order of the digests
    of their sequences. found: a file with the neighbours, if other jobs have searched them.
    """
    with ExitStack() as stack:
        embeddings = stack.enter_context(Embeddings(files.embeddings))
        vectors, dataset = embeddings.file[options.vector], Labelled.read(embeddings, files)
        k = options.number(len(vectors))
        if options.k == "auto" and not k:
            logger.info(
                "no neighbours are listed, since there are more than %s distinct sequences. A number as neighbours.k "
                "lists them all the same.", f"{MOST_BY_DEFAULT:,}",
            )  # fmt: skip
        among, searched = vectors, dataset
        if reference is not None:
            other = stack.enter_context(Embeddings(reference.embeddings))
            among, searched = other.file[options.vector], Labelled.read(other, reference)
        nearest_ones = read_nearest(found) if found else _nearest(dataset, vectors, searched, among, k)
        rows = nearest_ones.left_out
        if searched is dataset:
            rows = rows_left_out(dataset, k)
            of_own = nearest_ones.neighbours
            again = Neighbours(of_own.rows[rows], of_own.similarity[rows])
            nearest_ones = replace(nearest_ones, left_out=rows, left_out_neighbours=again)
        kept = vectors[:] if k and len(vectors) <= MOST_BY_DEFAULT else None
        return Searched(
            dataset, searched, nearest_ones.neighbours, mean_of(among), rows,
            read_rows(among, rows) if len(rows) else among[:0], nearest_ones.left_out_neighbours, kept,
            nearest_ones.recall,
        )  # fmt: skip


def _nearest(dataset: Labelled, vectors: h5py.Dataset, searched: Labelled, among: h5py.Dataset, k: int) -> Nearest:
    """Search for neighbours here; also for those of labelled sequences of another dataset."""
    rank = rank_of(np.argsort(searched.digests))
    found = nearest(vectors, k, among, searched.rows_of(dataset.digests), rank)
    rows = rows_left_out(searched, k if searched is not dataset else 0)
    chosen = read_rows(among, rows) if len(rows) else among[:0]
    return Nearest(found, rows, nearest(chosen, k, among, rows, rank))


def rows_left_out(reference: Labelled, k: int) -> np.ndarray:
    """Return the rows (E,) of labelled sequences of a reference that are left out one by one; none for k = 0."""
    return _spread(np.flatnonzero(reference.codes >= 0), MOST_LEFT_OUT if k else 0)


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many of some rows (n,), spread evenly."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)] if most else rows[:0]
