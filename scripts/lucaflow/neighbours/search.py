"""Exact search for the nearest neighbours of vectors, by matrix products of blocks.

Similarity is the cosine after subtracting the mean vector of the reference: cosines of plain embeddings are all near 1.

Letters in shapes: Q vectors to search for, R vectors of the reference, H hidden size, k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Vectors of the reference in one product. The vectors to search for, and their similarities to these, are limited in
# bytes: a similarity takes four, and its place in a partition eight.
_ROWS_AT_ONCE = 4096
_BYTES_AT_ONCE = 500_000_000
_BYTES_OF_SIMILARITY = 12


class Vectors(Protocol):
    """Vectors (n, H) that are read by slices: an array, or a dataset in an HDF5 file."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of Q vectors, the most similar first.

    rows: (Q, k) rows of the reference, -1 where there are fewer; similarity: (Q, k) float32 from -1 to 1, NaN there.
    """

    rows: np.ndarray
    similarity: np.ndarray


def nearest(vectors: Vectors, k: int, reference: Vectors | None = None, own: np.ndarray | None = None) -> Neighbours:
    """Return the k nearest neighbours of each vector in a reference; without one, among the vectors themselves.

    vectors: (Q, H); reference: (R, H), the vectors themselves by default; own: (Q,) the row of the reference that is no
    neighbour of each vector, -1 for none; by default its own row, if there is no other reference. Equally similar ones
    are in the order of the reference. Beside the result, memory is
    bounded: about 0.5 GB.

    >>> nearest(np.array([[1.0, 0.0], [0.9, 0.2], [0.0, 1.0]]), k=1).rows.tolist()
    [[1], [0], [1]]
    """
    if own is None:
        own = np.arange(len(vectors)) if reference is None else np.full(len(vectors), -1)  # type: ignore[arg-type]
    among = vectors if reference is None else reference
    width = vectors.shape[1]
    if among.shape[1] != width:
        raise ValueError(f"the vectors have {width} numbers, those of the reference {among.shape[1]}")
    rows = np.full((vectors.shape[0], k), -1, dtype=np.int64)
    similarity = np.full(rows.shape, -np.inf, dtype=np.float32)
    if not k:
        return Neighbours(rows, similarity)
    centre = mean_of(among)
    step = max(1, _BYTES_AT_ONCE // (4 * (width + 4 * k) + _BYTES_OF_SIMILARITY * _ROWS_AT_ONCE))
    for start, block in _blocks(vectors, step):
        part = slice(start, start + len(block))
        queries = unit_vectors(block, centre)
        for first, others in _blocks(among, _ROWS_AT_ONCE):
            found = queries @ unit_vectors(others, centre).T
            _exclude(found, own[part] - first)
            _merge(rows[part], similarity[part], found, first)
    rows[similarity == -np.inf] = -1
    similarity[similarity == -np.inf] = np.nan
    return Neighbours(rows, similarity)


def mean_of(vectors: Vectors) -> np.ndarray:
    """Return the mean (H,), float64, of vectors (n, H)."""
    total = np.zeros(vectors.shape[1])
    for _, block in _blocks(vectors, _ROWS_AT_ONCE):
        total += block.sum(0, dtype=np.float64)
    return total / max(1, vectors.shape[0])


def unit_vectors(vectors: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return vectors (n, H), float32, of length 1 after subtracting `centre` (H,). A vector equal to it stays zero."""
    centred = (vectors - centre).astype(np.float32)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, lengths, out=centred, where=lengths > 0)


def _blocks(vectors: Vectors, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, vectors.shape[0], rows):
        yield start, vectors[start : start + rows]


def _exclude(found: np.ndarray, columns: np.ndarray) -> None:
    """Make the similarity of each row (Q, R) with one of its columns, where there is such a one, the lowest."""
    there = np.flatnonzero((columns >= 0) & (columns < found.shape[1]))
    found[there, columns[there]] = -np.inf


def _merge(rows: np.ndarray, similarity: np.ndarray, found: np.ndarray, first: int) -> None:
    """Replace the neighbours so far by the nearest of these and of a block of the reference.

    rows, similarity: (Q, k), changed in place; found: (Q, B) similarities; first: row of the reference of column 0.
    """
    k = rows.shape[1]
    columns = _largest(found, k)
    found = np.take_along_axis(found, columns, axis=1)
    together = np.concatenate([similarity, found], axis=1)
    order = np.argsort(-together, axis=1, kind="stable")[:, :k]
    similarity[:] = np.take_along_axis(together, order, axis=1)
    rows[:] = np.take_along_axis(np.concatenate([rows, columns + first], axis=1), order, axis=1)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Return the columns (Q, k) of the k largest values of each row, ascending; of equal ones the first."""
    if values.shape[1] <= k:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    columns = np.argpartition(values, -k, axis=1)[:, -k:]
    bound = np.take_along_axis(values, columns, axis=1).min(1, keepdims=True)
    # A partition takes any of several values that equal the smallest of the k.
    tied = np.flatnonzero((values >= bound).sum(1) > k)
    columns[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
    return np.sort(columns, axis=1)
