"""Approximate search for neighbours: a graph of near vectors (HNSW, by the package usearch) names candidates.

Malkov and Yashunin 2018, doi:10.1109/TPAMI.2018.2889473. The similarity of candidates is then computed as in the exact
search, so that a neighbour may be missing, but none has another similarity or place.
"""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lucaflow.files.writing import replacing
from lucaflow.neighbours.search import NONE, Neighbours, Reference, keys_of, unit_vectors
from lucaflow.progress import Progress
from lucaflow.store.format import read_rows

logger = logging.getLogger(__name__)

GRAPH_NAME = ".graph"
# Links of a vector, and vectors that are looked at while one is added and while neighbours are searched, at least.
_LINKS, _LOOKED_AT_TO_ADD, _LOOKED_AT = 32, 128, 256
_ADDED_AT_ONCE, _QUERIES_AT_ONCE, _PAIRS_AT_ONCE = 1024, 128, 128


class Graph:
    """The graph of a reference. It is made by one thread, in the order of ranks, so that it is always the same.

    path: of its file, which is made if it is not there; reference: (R, H) vectors.
    """

    def __init__(self, path: Path, reference: Reference, threads: int = 1) -> None:
        self.path, self.reference, self.threads = path, reference, threads

    @cached_property
    def index(self) -> Any:
        """The graph, of which only the parts that are used are read from its file."""
        from usearch.index import Index

        if not self.path.is_file():
            self._make()
        return Index.restore(str(self.path), view=True)

    def _make(self) -> None:
        from usearch.index import Index

        count, width = self.reference.vectors.shape
        index = Index(ndim=width, metric="ip", dtype="f16", connectivity=_LINKS, expansion_add=_LOOKED_AT_TO_ADD)
        with Progress(total=count, unit=" sequences", desc="graph") as progress:
            for start in range(0, count, _ADDED_AT_ONCE):
                ranks = np.arange(start, min(start + _ADDED_AT_ONCE, count))
                units = self.reference.units(self.reference.vectors, self.reference.row_of_rank[ranks])
                # Threads would add them in another order each time.
                index.add(ranks, units, threads=1)
                progress.update(len(ranks))
        with replacing(self.path) as temporary:
            index.save(str(temporary))

    def search(self, units: np.ndarray, own: np.ndarray, k: int) -> np.ndarray:
        """Return the neighbours (Q, k) of vectors, as `search.search` leaves them.

        units: (Q, H) of length 1; own: (Q,) the row of the reference that is left out, -1 for none.
        """
        keys = np.full((len(units), k), NONE)
        count = min(2 * k + 10, self.reference.vectors.shape[0])
        self.index.expansion_search = max(_LOOKED_AT, 2 * count)
        for start in range(0, len(units), _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            found = self.index.search(units[part], count, threads=self.threads)
            ranks = np.atleast_2d(found.keys).astype(np.int64)
            counts = np.broadcast_to(np.atleast_1d(getattr(found, "counts", len(found.keys))), len(ranks))
            keys[part] = self._nearest(units[part], own[part], ranks, counts, k)
        return keys

    def _nearest(self, units: np.ndarray, own: np.ndarray, ranks: np.ndarray, counts: np.ndarray, k: int) -> np.ndarray:
        """Return the k nearest (Q, k) of candidates. ranks: (Q, c); counts: (Q,) how many of them there are."""
        there = np.arange(ranks.shape[1]) < counts[:, None]
        rows = self.reference.row_of_rank[np.where(there, ranks, 0)]
        there &= rows != own[:, None]
        distinct, place = np.unique(rows, return_inverse=True)
        candidates, place = self._units_of(distinct), place.reshape(rows.shape)
        together = np.full((len(units), max(k, ranks.shape[1])), NONE)
        query, column = np.nonzero(there)
        similarity = np.empty(len(query))
        for start in range(0, len(query), _PAIRS_AT_ONCE):
            pairs = slice(start, start + _PAIRS_AT_ONCE)
            left, right = units[query[pairs]], candidates[place[query[pairs], column[pairs]]]
            similarity[pairs] = np.multiply(left, right, dtype=np.float64).sum(1)
        together[query, column] = keys_of(similarity, ranks[query, column])
        together.sort(axis=1)
        return together[:, : -k - 1 : -1]

    def _units_of(self, rows: np.ndarray) -> np.ndarray:
        return unit_vectors(read_rows(self.reference.vectors, rows), self.reference.centre)


def recall_of(found: Neighbours, exact: Neighbours) -> np.ndarray:
    """Return the share (Q,) of the k nearest neighbours of each of Q vectors that were found.

    Of equally similar ones any is right: a neighbour is found if it is as similar as the last of the exact ones.

    >>> exact = Neighbours(np.array([[1, 3], [2, 4]]), np.array([[0.9, 0.8], [0.7, 0.7]]))
    >>> recall_of(Neighbours(np.array([[1, 6], [2, 5]]), np.array([[0.9, 0.5], [0.7, 0.7]])), exact).tolist()
    [0.5, 1.0]
    """
    there = exact.rows >= 0
    least = np.where(there, exact.similarity, np.inf).min(1, initial=np.inf)
    right = (found.rows >= 0) & (found.similarity >= least[:, None])
    shares: np.ndarray = np.where(there.any(1), right.sum(1) / np.maximum(there.sum(1), 1), 1.0)
    return shares
