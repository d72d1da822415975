"""Checksums of rows in the HDF5 files: a sum over each array's rows, and a CRC-32 of each row of vectors."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache

import h5py
import numpy as np

from lucaflow.engine.options import VECTORS
from lucaflow.errors import StoreError
from lucaflow.store.format import COUNTS

CHECKSUM = "checksum"
CHECKSUMS = 1 << 64
_BLOCK_BYTES = 1 << 24


def checksum(rows: np.ndarray, first: int) -> int:
    """Return a checksum of rows (r, w), counted from `first`: sums of it over the pieces of an array are the array's.

    It is a sum over rows, modulo 2**64: an odd number that stands for the row, times the sum of the row's 32-bit words,
    each times an odd 64-bit number that stands for its place. So pieces may come in any order, a change within a word
    always changes it, and any other but for a chance of some 2**-32. Unlike CRC-32 it takes one call for many rows.
    """
    words = _words(rows)
    weights = _weights(words.shape[1] + 1)
    of_rows = np.einsum("ij,j->i", words, weights[1:]) + weights[:1]
    numbers = 2 * np.arange(first, first + len(rows), dtype=np.uint64) + 1
    return int((numbers * of_rows).sum(dtype=np.uint64))


def _words(rows: np.ndarray) -> np.ndarray:
    """Return the bytes of rows (r, w) as 32-bit numbers (r, n), with zeros behind rows that end between two."""
    octets = np.ascontiguousarray(rows).view(np.uint8)
    if missing := -octets.shape[1] % 4:
        octets = np.pad(octets, ((0, 0), (0, missing)))
    return octets.view(np.uint32)


@lru_cache(maxsize=100)
def _weights(count: int) -> np.ndarray:
    """Return odd 64-bit numbers (count,): the output of SplitMix64 (https://doi.org/10.1145/2660193.2660195)."""
    z: np.ndarray = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> 27)) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> 31)) | 1


def blocks_of(dataset: h5py.Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows (r, w) of a matrix or contacts in blocks, each with the number of its first row.

    Raises StoreError at the end, where the values are not those that were written.
    """
    total = 0
    rows = max(1, _BLOCK_BYTES // max(1, dataset.dtype.itemsize * dataset.shape[1]))
    for start in range(0, len(dataset), rows):
        block = dataset[start : start + rows]
        total += checksum(block, start)
        yield start, block
    if total % CHECKSUMS != dataset.attrs.get(CHECKSUM):
        raise StoreError(f"{dataset.file.filename}: {dataset.name} is damaged: its values do not have their checksum")


def read_checked(dataset: h5py.Dataset) -> np.ndarray:
    """Return a matrix or contacts, (r, w). Raises StoreError where the values are not those that were written."""
    found = np.empty(dataset.shape, dataset.dtype)
    for start, block in blocks_of(dataset):
        found[start : start + len(block)] = block
    return found


def is_sound(dataset: h5py.Dataset) -> bool:
    """Say whether a matrix or contacts hold the values that were written."""
    try:
        for _ in blocks_of(dataset):
            pass
    except StoreError:
        return False
    return True


def row_values(shard: h5py.File, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    """Return what a shard holds of rows (n,) besides matrices: counts, where they come from, and vectors."""
    return {name: shard[name][rows] for name in (*COUNTS, "device", "taken_over", *VECTORS) if name in shard}


def row_checksums(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the CRC-32 (n,) of each row of several arrays (n, ...)."""
    arrays = (np.ascontiguousarray(values[name]) for name in sorted(values))
    packed = [array.view(np.uint8).reshape(len(array), -1) for array in arrays]
    return np.array([zlib.crc32(row) for row in np.concatenate(packed, axis=1)], dtype=np.uint32)


def read_rows(shard: h5py.File, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    """Return `row_values`. Raises StoreError where they are not those that were written."""
    values = row_values(shard, rows)
    sound = row_checksums(values) == shard["checksums"][rows]
    if not sound.all():
        digest = shard["digests"].asstr()[rows][int(np.argmin(sound))]
        raise StoreError(f"{shard.filename}: damaged: the values of {digest} do not have their checksum")
    return values
