"""Exact search for the nearest neighbours of vectors, by matrix products of blocks.

Similarity is the cosine after subtracting the mean vector of the reference: cosines of plain embeddings are all near 1.
Products in float32 find the vectors that may be neighbours. Their similarities are then computed in float64 and rounded
to a millionth, and equal ones are ordered by the rank of the vector in the reference. So neighbours depend neither on
the machine nor on the blocks.

Letters in shapes: Q vectors to search for, R vectors of the reference, H hidden size, k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from lucaflow.neighbours.products import NO_BOUND, OnProcessor, Products, margin_of
from lucaflow.store.format import read_rows

# A neighbour is one number: its similarity in millionths, and below it how early its rank is, so that the larger of two
# is the nearer one.
_MILLION, _LAST_RANK = 1_000_000, 2**32 - 1
NONE = np.iinfo(np.int64).min
_ROWS_AT_ONCE = 1024


class Vectors(Protocol):
    """Vectors (n, H) that are read by slices: an array, or a dataset in an HDF5 file."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of Q vectors, the most similar first.

    rows: (Q, k) rows of the reference, -1 where there are fewer; similarity: (Q, k) float32 from -1 to 1, rounded to a
    millionth, NaN there.
    """

    rows: np.ndarray
    similarity: np.ndarray


@dataclass(frozen=True)
class Reference:
    """The vectors in which neighbours are searched.

    vectors: (R, H), read by slices; centre: (H,) their mean; rank: (R,) the place of each row in the order of equally
    similar ones, a permutation of 0 to R - 1.
    """

    vectors: Vectors
    centre: np.ndarray
    rank: np.ndarray

    @classmethod
    def of(cls, vectors: Vectors, rank: np.ndarray | None = None) -> Reference:
        """Return vectors as a reference. rank: that of their rows by default."""
        return cls(vectors, mean_of(vectors), np.arange(vectors.shape[0]) if rank is None else rank)

    def units(self, vectors: Vectors, rows: slice | np.ndarray) -> np.ndarray:
        """Return some rows (n, H) of vectors as `unit_vectors` does, which are read little by little."""
        numbers = np.arange(vectors.shape[0])[rows]
        units = np.empty((len(numbers), vectors.shape[1]), dtype=np.float32)
        for start in range(0, len(numbers), _ROWS_AT_ONCE):
            part = numbers[start : start + _ROWS_AT_ONCE]
            units[start : start + len(part)] = unit_vectors(read_rows(vectors, part), self.centre)
        return units

    @cached_property
    def row_of_rank(self) -> np.ndarray:
        """The row (R,) of each rank."""
        return np.argsort(self.rank)

    def neighbours(self, keys: np.ndarray) -> Neighbours:
        """Return neighbours by their rows. keys: (Q, k) as `search` leaves them."""
        there = keys != NONE
        rank = np.where(there, _LAST_RANK - (keys & _LAST_RANK), 0)
        rows = np.where(there, self.row_of_rank[rank] if len(self.rank) else -1, -1)
        return Neighbours(rows, np.where(there, _similarity(keys), np.nan).astype(np.float32))


def nearest(
    vectors: Vectors,
    k: int,
    reference: Vectors | None = None,
    own: np.ndarray | None = None,
    rank: np.ndarray | None = None,
    products: Products | None = None,
) -> Neighbours:
    """Return the k nearest neighbours of each vector in a reference; without one, among the vectors themselves.

    vectors: (Q, H); reference: (R, H), the vectors themselves by default; own: (Q,) the row of the reference that is no
    neighbour of each vector, -1 for none; by default its own row, if there is no other reference; rank: (R,) the order
    of equally similar ones, by default that of the reference; products: computes them, by default on the processor.
    Beside the result, memory is bounded: about 0.6 GB. Raises ValueError for another width.

    >>> nearest(np.array([[1.0, 0.0], [0.9, 0.2], [0.0, 1.0]]), k=1).rows.tolist()
    [[1], [0], [1]]
    """
    count = vectors.shape[0]
    if own is None:
        own = np.arange(count) if reference is None else np.full(count, -1)
    among, products = vectors if reference is None else reference, products or OnProcessor()
    if among.shape[1] != vectors.shape[1]:
        raise ValueError(f"the vectors have {vectors.shape[1]} numbers, those of the reference {among.shape[1]}")
    keys = np.full((count, k), NONE)
    if not k:
        return Neighbours(keys, np.empty(keys.shape, dtype=np.float32))
    searched = Reference.of(among, rank)
    step = rows_at_once(vectors.shape[1], k, products)
    for start in range(0, count, step):
        part = slice(start, start + step)
        for _ in search(searched.units(vectors, part), own[part], searched, keys[part], products):
            pass
    return searched.neighbours(keys)


def rows_at_once(width: int, k: int, products: Products) -> int:
    """Return how many vectors to search for are compared with the reference before it is read again."""
    return max(1, products.block_bytes // (4 * width + 8 * k))


def search(
    units: np.ndarray, own: np.ndarray, reference: Reference, keys: np.ndarray, products: Products, start: int = 0
) -> Iterator[int]:
    """Compare vectors with a reference piece by piece, and yield after each piece the row of the next one.

    units: (Q, H) of length 1, as `unit_vectors` returns them with the centre of the reference; own: (Q,) as for
    `nearest`; keys: (Q, k), filled with NONE before row 0, changed in place to the nearest so far, the nearest first;
    start: the first row that they were not compared with.
    """
    k, margin = keys.shape[1], margin_of(units.shape[1])
    queries = products.put(units)
    for first, vectors in blocks(reference.vectors, products.tile, start):
        tile = products.put(unit_vectors(vectors, reference.centre))
        rank = reference.rank[first : first + len(vectors)]
        for begin in range(0, len(units), products.part):
            part = slice(begin, begin + products.part)
            last = keys[part, -1]
            bound = np.where(last == NONE, NO_BOUND, _similarity(last) - margin).astype(np.float32)
            rows, columns = products.hits(queries[part], tile, bound, own[part] - first, k)
            if len(rows):
                similarity = products.exact(queries[part], tile, rows, columns)
                _merge(keys[part], rows, keys_of(similarity, rank[columns]))
        yield first + len(vectors)


def rank_of(order: np.ndarray) -> np.ndarray:
    """Return the place (n,) of each row in an order (n,) of rows.

    >>> rank_of(np.array([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank


def mean_of(vectors: Vectors) -> np.ndarray:
    """Return the mean (H,), float64, of vectors (n, H)."""
    total = np.zeros(vectors.shape[1])
    for _, block in blocks(vectors, _ROWS_AT_ONCE):
        total += block.sum(0, dtype=np.float64)
    return total / max(1, vectors.shape[0])


def unit_vectors(vectors: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return vectors (n, H), float32, of length 1 after subtracting `centre` (H,). A vector equal to it stays zero.

    They are divided in float64, so that the result does not depend on how a machine adds up squares.
    """
    units = np.empty(vectors.shape, dtype=np.float32)
    for start, block in blocks(vectors, _ROWS_AT_ONCE):
        centred = block - centre.astype(np.float64)
        lengths = np.sqrt((centred**2).sum(1, keepdims=True))
        units[start : start + len(block)] = np.divide(centred, lengths, out=centred, where=lengths > 0)
    return units


def blocks(vectors: Vectors, rows: int, start: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Yield vectors (n, H) so many rows at once, each block with the number of its first row."""
    for first in range(start, vectors.shape[0], rows):
        yield first, vectors[first : first + rows]


def keys_of(similarity: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return neighbours as numbers (n,), of which the larger one is the nearer. similarity, rank: (n,)."""
    return (np.rint(similarity * _MILLION).astype(np.int64) << 32) + (_LAST_RANK - rank)


def _similarity(keys: np.ndarray) -> np.ndarray:
    return (keys >> 32) / _MILLION


def _merge(keys: np.ndarray, rows: np.ndarray, found: np.ndarray) -> None:
    """Put found neighbours (n,) among those of their rows (n,), ascending. keys: (Q, k), changed in place."""
    k = keys.shape[1]
    changed, start, counts = np.unique(rows, return_index=True, return_counts=True)
    together = np.full((len(changed), k + counts.max()), NONE)
    together[:, :k] = keys[changed]
    place = np.arange(len(rows)) - np.repeat(start, counts)
    together[np.repeat(np.arange(len(changed)), counts), k + place] = found
    together.sort(axis=1)
    keys[changed] = together[:, : -k - 1 : -1]
