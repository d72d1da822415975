"""What does a search with sequences find, beside one with embeddings?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lucaflow.neighbours.datasets import MOST_LEFT_OUT, Searched
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.training.clusters import Links, components
from lucaflow.training.mmseqs import Hits, find_mmseqs

# Two sequences are in one cluster if they are this identical over this share of both.
CLUSTER_IDENTITY, CLUSTER_COVERAGE = 0.9, 0.8


@dataclass(frozen=True)
class BestHits:
    """The labelled sequence of a reference that each of Q sequences is most similar to, never the same sequence.

    rows: (Q,) rows of the reference, -1 without a hit; identity: (Q,) from 0 to 1, NaN there.
    """

    rows: np.ndarray
    identity: np.ndarray

    def of(self, chosen: np.ndarray) -> BestHits:
        """Return those of some queries (n,)."""
        return BestHits(self.rows[chosen], self.identity[chosen])

    def codes(self, of_reference: np.ndarray) -> np.ndarray:
        """Return the label (Q,) of each hit as a code, -1 without a hit. of_reference: (R,) codes."""
        return np.where(self.rows >= 0, of_reference[self.rows], -1)


@dataclass(frozen=True)
class SequencesSearched:
    """Best hits of a dataset (U,), those of the sequences that are left out (E,), and the clusters (E,) of these.

    of_dataset: None of more than 20,000 sequences, which would take longer than all else.
    """

    of_dataset: BestHits | None
    of_left_out: BestHits
    clusters: np.ndarray


def search_sequences(
    searched: Searched, queries: Sequence[NormalisedSequence], reference: Sequence[NormalisedSequence], beside: Path,
    threads: int,
) -> SequencesSearched:  # fmt: skip
    """Search by MMseqs2 for the most similar labelled sequences of a reference.

    queries: the distinct sequences (U,) of the dataset, which are searched if they are not too many; reference: those
    (R,) of the reference; beside: a path in whose folder a temporary folder is made. Raises ToolError if MMseqs2 is not
    installed, or fails.
    """
    mmseqs = find_mmseqs(threads)
    targets, left_out = np.flatnonzero(searched.reference.codes >= 0), searched.left_out
    asks_all = has_best_hits(searched)
    own = searched.reference.rows_of(searched.dataset.digests) if asks_all else left_out[:0]
    asked, place = list(queries) if asks_all else [], left_out
    if not (asks_all and searched.is_own):
        place = len(asked) + np.arange(len(left_out))
        asked += [reference[row] for row in left_out.tolist()]
        own = np.concatenate([own, left_out])
    hits = mmseqs.search(asked, [reference[row] for row in targets.tolist()], beside, quick=True)
    best = _best(hits, targets, own)
    of_dataset = best.of(np.arange(len(queries))) if asks_all else None
    return SequencesSearched(of_dataset, best.of(place), _clusters(hits, targets[hits.target], left_out, place))


def has_best_hits(searched: Searched) -> bool:
    """Return whether best hits are searched of all sequences of a dataset, and not of those alone that are left out."""
    return len(searched.dataset.digests) <= MOST_LEFT_OUT


def _best(hits: Hits, targets: np.ndarray, own: np.ndarray) -> BestHits:
    """Return the best hit of each query. targets: (T,) and own: (Q,) rows of the reference, of a query -1 for none."""
    found = BestHits(np.full(len(own), -1), np.full(len(own), np.nan))
    others = hits.where(targets[hits.target] != own[hits.query])
    # Hits are sorted by their queries, then the best first.
    query, first = np.unique(others.query, return_index=True)
    found.rows[query] = targets[others.target[first]]
    found.identity[query] = others.identity[first]
    return found


def _clusters(hits: Hits, found: np.ndarray, left_out: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the cluster (E,) of each sequence that is left out, by its hits among them.

    found: the row of the reference of each hit; left_out: (E,) rows of the reference; queries: (E,) their queries.
    """
    alike = (hits.identity >= CLUSTER_IDENTITY) & (hits.cover >= CLUSTER_COVERAGE)
    one, other = _places(hits.query[alike], queries), _places(found[alike], left_out)
    inside = (one >= 0) & (other >= 0)
    return components(len(left_out), Links(one[inside], other[inside], np.ones(inside.sum())))


def _places(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the place of each value (n,) in an ascending array, -1 for one that is not there."""
    place = np.minimum(np.searchsorted(among, values), max(0, len(among) - 1))
    return np.where(among[place] == values, place, -1) if len(among) else np.full(len(values), -1)


def representatives(clusters: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the first of each cluster among the places `chosen` (n,) of clusters (E,), ascending."""
    return chosen[np.sort(np.unique(clusters[chosen], return_index=True)[1])]
