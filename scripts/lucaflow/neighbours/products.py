"""Which vectors of a reference may be among the nearest ones, and how similar are they exactly?

Letters in shapes: Q vectors to search for, T vectors of the reference at once, H hidden size, k neighbours, n pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

# Of a float32, below which there is no similarity: that of a vector with itself is left out as minus infinity.
NO_BOUND = float(np.finfo(np.float32).min)
# Pairs of a vector with so many of the reference are computed by a matrix product, others one by one.
_MANY = 64
_PAIRS_AT_ONCE, _DENSE_AT_ONCE = 128, 256


def margin_of(width: int) -> float:
    """Return by how much a float32 product of two vectors of length 1 may be too small. width: H.

    Errors of H roundings add up like a random walk, to the square root of H times 2 ** -24 at most. This is eight times
    as much, and the millionth to which similarities are rounded.
    """
    return float(8 * np.sqrt(width) * 2.0**-24 + 1e-6)


class Products(Protocol):
    """Computes products of vectors on one device.

    device: its name; tile: the vectors of the reference in one product; part: the vectors to search for in one product;
    block_bytes: of the vectors to search for that the device holds.
    """

    @property
    def device(self) -> str: ...
    @property
    def tile(self) -> int: ...
    @property
    def part(self) -> int: ...
    @property
    def block_bytes(self) -> int: ...

    def put(self, units: np.ndarray) -> Any:
        """Return vectors (n, H) on the device."""

    def hits(
        self, queries: Any, tile: Any, bound: np.ndarray, own: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs, (n,) rows of queries (Q, H), ascending, and (n,) of a tile (T, H), that may be neighbours.

        bound: (Q,) the least similarity; own: (Q,) the row of the tile that is left out, if it is from 0 to T - 1.
        Where more than a few are above the bound, the k largest and those within the margin are enough.
        """

    def exact(self, queries: Any, tile: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the similarity (n,) of pairs, added up in float64. rows, columns: as `hits` returns them."""


@dataclass
class OnProcessor:
    """Products by numpy, on the processor. The similarities of a part to a tile take eight megabytes."""

    device: str = "cpu"
    tile: int = 1024
    part: int = 2048
    block_bytes: int = 500_000_000
    _buffer: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float32), repr=False)

    def put(self, units: np.ndarray) -> np.ndarray:
        return units

    def hits(
        self, queries: np.ndarray, tile: np.ndarray, bound: np.ndarray, own: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        found = self._product(queries, tile)
        there = np.flatnonzero((own >= 0) & (own < len(tile)))
        found[there, own[there]] = -np.inf
        margin = margin_of(queries.shape[1])
        bound = _raised(found, bound, np.flatnonzero(bound <= NO_BOUND), k, margin)
        rows, columns = np.nonzero(found >= bound[:, None])
        many = np.flatnonzero(np.bincount(rows, minlength=len(found)) > 2 * k)
        if len(many):
            rows, columns = np.nonzero(found >= _raised(found, bound, many, k, margin)[:, None])
        return rows, columns

    def _product(self, queries: np.ndarray, tile: np.ndarray) -> np.ndarray:
        size = len(queries) * len(tile)
        if len(self._buffer) < size:
            self._buffer = np.empty(size, dtype=np.float32)
        return np.matmul(queries, tile.T, out=self._buffer[:size].reshape(len(queries), len(tile)))

    def exact(self, queries: np.ndarray, tile: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        found = np.empty(len(rows))
        is_many = (np.bincount(rows, minlength=len(queries)) > _MANY)[rows]
        few, many = np.flatnonzero(~is_many), np.flatnonzero(is_many)
        for start in range(0, len(few), _PAIRS_AT_ONCE):
            pairs = few[start : start + _PAIRS_AT_ONCE]
            found[pairs] = np.multiply(queries[rows[pairs]], tile[columns[pairs]], dtype=np.float64).sum(1)
        if len(many):
            found[many] = _by_product(queries, tile.astype(np.float64), rows[many], columns[many])
        return found


def _raised(found: np.ndarray, bound: np.ndarray, rows: np.ndarray, k: int, margin: float) -> np.ndarray:
    """Return bounds (Q,) of which those of some rows are raised to the k-th largest similarity (Q, T), less the margin.

    A bound is never below `NO_BOUND`.
    """
    raised = np.maximum(bound, NO_BOUND)
    width = found.shape[1]
    if len(rows) and k < width:
        largest = np.partition(found[rows], width - k, axis=1)[:, width - k]
        raised[rows] = np.maximum(raised[rows], largest - np.float32(margin))
    return raised


def _by_product(queries: np.ndarray, tile: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the similarity (n,) of pairs by whole products. tile: (T, H) float64; rows: (n,) ascending."""
    found = np.empty(len(rows))
    distinct, place = np.unique(rows, return_inverse=True)
    for start in range(0, len(distinct), _DENSE_AT_ONCE):
        part = queries[distinct[start : start + _DENSE_AT_ONCE]].astype(np.float64) @ tile.T
        inside = slice(*np.searchsorted(place, [start, start + _DENSE_AT_ONCE]))
        found[inside] = part[place[inside] - start, columns[inside]]
    return found
