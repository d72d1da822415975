"""Do sequences with the same label have similar embeddings, and which labels do neighbours suggest?

Each distinct sequence is one observation. A sequence whose records have different labels has none here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lucaflow.neighbours.search import Neighbours

SEED = 0
RESAMPLES = 500
# In a bin of similarities with fewer sequences, no precision is stated.
FEWEST_IN_BIN = 30
_BINS_PER_UNIT = 10
_VOTES_AT_ONCE = 100_000


@dataclass(frozen=True)
class Vote:
    """The labels that neighbours suggest for Q sequences.

    label: (Q,) codes of labels, -1 if no neighbour has a label; similarity: (Q,) of the nearest neighbour with this
    label; votes: (Q,) the number of neighbours that have it; of: (Q,) the number of neighbours that have any label.
    """

    label: np.ndarray
    similarity: np.ndarray
    votes: np.ndarray
    of: np.ndarray


def labels_of_sequences(labels: pd.Series, sequence: np.ndarray, count: int) -> tuple[np.ndarray, list[str], int]:
    """Return the label (U,) of each distinct sequence as a code, the names of the codes, and how many contradict.

    labels: (N,) text of each record, empty for none; sequence: (N,) row of its distinct sequence; count: U. A sequence
    without a label, or with several, has the code -1.
    """
    codes, names = pd.factorize(labels.where(labels != ""), sort=True)
    stated = pd.DataFrame({"sequence": sequence, "code": codes})[codes >= 0].drop_duplicates()
    several = stated["sequence"].duplicated(keep=False)
    found = np.full(count, -1)
    found[stated.loc[~several, "sequence"]] = stated.loc[~several, "code"]
    return found, [str(name) for name in names], int(stated.loc[several, "sequence"].nunique())


def vote(neighbours: Neighbours, labels: np.ndarray) -> Vote:
    """Return the label that most labelled neighbours of each sequence have; of equally many, that of the nearest.

    labels: (R,) codes of the reference, -1 for none.
    """
    votes = [
        _vote(Neighbours(neighbours.rows[part], neighbours.similarity[part]), labels)
        for part in (slice(at, at + _VOTES_AT_ONCE) for at in range(0, max(1, len(neighbours.rows)), _VOTES_AT_ONCE))
    ]
    return Vote(*(np.concatenate(columns) for columns in zip(*(vars(each).values() for each in votes), strict=True)))


def _vote(neighbours: Neighbours, labels: np.ndarray) -> Vote:
    codes = np.where(neighbours.rows >= 0, labels[neighbours.rows], -1)  # (Q, k)
    labelled = codes >= 0
    counts = np.zeros(codes.shape, dtype=np.int64)
    for column in codes.T:
        counts += (codes == column[:, None]) & labelled  # (Q, k)
    # The first of the highest counts belongs to the nearest neighbour with that label.
    best = counts.argmax(1)
    row = np.arange(len(codes))
    return Vote(
        codes[row, best],
        np.where(labelled[row, best], neighbours.similarity[row, best], np.nan),
        counts[row, best],
        labelled.sum(1),
    )


@dataclass(frozen=True)
class Precision:
    """How often a suggested label is right, by its similarity: from sequences whose label is known and was left out.

    low: (B,) lower ends of bins of equal width; share: (B,) of right labels, NaN with fewer than 30 sequences; count:
    (B,) sequences in each bin.
    """

    low: np.ndarray
    share: np.ndarray
    count: np.ndarray

    def at(self, similarity: np.ndarray) -> np.ndarray:
        """Return the precision (Q,) at each similarity (Q,); NaN where none is stated."""
        place = np.clip(_bin_of(similarity), 0, len(self.share) - 1)
        return np.where(np.isnan(similarity), np.nan, self.share[place])


def precision_by_similarity(suggested: Vote, labels: np.ndarray) -> Precision:
    """Return the precision of suggested labels of sequences whose labels (Q,) are known, in bins of similarity."""
    known = (labels >= 0) & (suggested.label >= 0)
    place = np.clip(_bin_of(suggested.similarity[known]), 0, 2 * _BINS_PER_UNIT - 1)
    right = suggested.label[known] == labels[known]
    count = np.bincount(place, minlength=2 * _BINS_PER_UNIT)
    share = np.bincount(place, right, minlength=2 * _BINS_PER_UNIT) / np.maximum(count, 1)
    low = np.arange(2 * _BINS_PER_UNIT) / _BINS_PER_UNIT - 1
    return Precision(low, np.where(count >= FEWEST_IN_BIN, share, np.nan), count)


def _bin_of(similarity: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.floor((similarity.astype(np.float64) + 1) * _BINS_PER_UNIT + 1e-9), nan=0).astype(int)


@dataclass(frozen=True)
class Agreement:
    """The share of sequences whose suggested label is theirs, and the ends of its 95 % interval by resampling."""

    value: float
    low: float
    high: float
    sequences: int


def agreement(right: np.ndarray, labels: np.ndarray, balanced: bool = False) -> Agreement:
    """Return how often labels are right. right: (Q,) whether; labels: (Q,) codes of the known labels.

    balanced: the mean over labels of the share of each, so that large groups do not decide. A label that is absent from
    a resample is left out of it.
    """
    count = len(right)
    if not count:
        return Agreement(np.nan, np.nan, np.nan, 0)
    generator = np.random.default_rng(SEED)
    drawn = (np.bincount(generator.integers(count, size=count), minlength=count) for _ in range(RESAMPLES))
    low, high = np.percentile([_share(right, labels, weights, balanced) for weights in drawn], [2.5, 97.5])
    return Agreement(_share(right, labels, np.ones(count), balanced), float(low), float(high), count)


def _share(right: np.ndarray, labels: np.ndarray, weights: np.ndarray, balanced: bool) -> float:
    if not balanced:
        return float(right @ weights / weights.sum())
    of_label = np.bincount(labels, weights)
    share = np.bincount(labels, right * weights)[of_label > 0] / of_label[of_label > 0]
    return float(share.mean())


def by_permuted_labels(
    neighbours: Neighbours, labels: np.ndarray, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether the suggested label of each labelled sequence is right if all labels are dealt out at random.

    labels: (R,) codes of the reference; rows: (Q,) the rows of the reference whose neighbours (Q, k) are given, all by
    default. With it are the labels that were dealt. Both are (n,), for the labelled sequences in their order.
    """
    known = np.flatnonzero(labels >= 0)
    dealt = labels.copy()
    dealt[known] = np.random.default_rng(SEED).permutation(labels[known])
    own = dealt if rows is None else dealt[rows]
    asked = own >= 0
    return vote(neighbours, dealt).label[asked] == own[asked], own[asked]


def composition(sequences: Sequence[str], letters: str, length: int = 1) -> np.ndarray:
    """Return the share of each word of `length` letters in each sequence, (n, len(letters) ** length) float32.

    >>> composition(["AAAC", "GT"], "ACGT").tolist()
    [[0.75, 0.25, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    number = np.full(256, -1)
    number[np.frombuffer(letters.encode(), dtype=np.uint8)] = np.arange(len(letters))
    found = np.zeros((len(sequences), len(letters) ** length), dtype=np.float32)
    for row, sequence in zip(found, sequences, strict=True):
        codes = number[np.frombuffer(sequence.encode(), dtype=np.uint8)]
        places = max(0, len(codes) - length + 1)
        words, known = np.zeros(places, dtype=np.int64), np.ones(places, dtype=bool)
        for shift in range(length):
            part = codes[shift : shift + places]
            words, known = words * len(letters) + part, known & (part >= 0)
        counts = np.bincount(words[known], minlength=found.shape[1])
        row[:] = counts / max(1, counts.sum())
    return found
