"""Are the values in an HDF5 file those that were written?

Each matrix has a checksum that is a sum over its rows. Each row of vectors has a CRC-32.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache

import h5py
import numpy as np

from lucaflow.engine.options import VECTORS
from lucaflow.errors import StoreError
from lucaflow.store.format import CHECKSUM_ATTRIBUTE, COUNTS

CHECKSUM_MODULUS = 1 << 64
_BLOCK_BYTES = 1 << 24


def checksum(rows: np.ndarray, first_row: int) -> int:
    """Return the checksum of rows (r, w), the first of which is number `first_row` in its array.

    The checksum is a sum over rows, modulo 2**64. Each 32-bit word of a row is multiplied by an odd 64-bit number for
    its column; the sum of these is multiplied by an odd number for the row. So the checksums of the pieces of an
    array, in any order, add up to the checksum of the array. A change within one word always changes the checksum; any
    other change goes unnoticed with a probability of about 2**-32. Unlike CRC-32, one call handles many rows.
    """
    words = _as_32_bit_words(rows)
    weights = _odd_weights(words.shape[1] + 1)
    row_sums = np.einsum("ij,j->i", words, weights[1:]) + weights[:1]
    numbers = 2 * np.arange(first_row, first_row + len(rows), dtype=np.uint64) + 1
    return int((numbers * row_sums).sum(dtype=np.uint64))


def _as_32_bit_words(rows: np.ndarray) -> np.ndarray:
    """Return the bytes of rows (r, w) as 32-bit numbers (r, n); rows are padded with zeros to whole words."""
    octets = np.ascontiguousarray(rows).view(np.uint8)
    if missing := -octets.shape[1] % 4:
        octets = np.pad(octets, ((0, 0), (0, missing)))
    return octets.view(np.uint32)


@lru_cache(maxsize=100)
def _odd_weights(count: int) -> np.ndarray:
    """Return odd 64-bit numbers (count,): the output of SplitMix64 (https://doi.org/10.1145/2660193.2660195)."""
    z: np.ndarray = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> 27)) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> 31)) | 1


def checked_blocks(dataset: h5py.Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows (r, w) of a matrix or of contacts in blocks, each with the number of its first row.

    Raise StoreError after the last block if the values do not match their checksum.
    """
    total = 0
    rows = max(1, _BLOCK_BYTES // max(1, dataset.dtype.itemsize * dataset.shape[1]))
    for start in range(0, len(dataset), rows):
        block = dataset[start : start + rows]
        total += checksum(block, start)
        yield start, block
    if total % CHECKSUM_MODULUS != dataset.attrs.get(CHECKSUM_ATTRIBUTE):
        raise StoreError(f"{dataset.file.filename}: {dataset.name} is damaged: its values do not match their checksum")


def read_checked(dataset: h5py.Dataset) -> np.ndarray:
    """Return a matrix or contacts (r, w). Raise StoreError if the values do not match their checksum."""
    found = np.empty(dataset.shape, dataset.dtype)
    for start, block in checked_blocks(dataset):
        found[start : start + len(block)] = block
    return found


def matches_checksum(dataset: h5py.Dataset) -> bool:
    """Return whether the values of a matrix or of contacts match their checksum."""
    try:
        for _ in checked_blocks(dataset):
            pass
    except StoreError:
        return False
    return True


def read_unchecked_rows(shard: h5py.File, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    """Return the counts, the device, `taken_over` and the vectors of a shard's rows (n,), by dataset name."""
    return {name: shard[name][rows] for name in (*COUNTS, "device", "taken_over", *VECTORS) if name in shard}


def row_checksums(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the CRC-32 (n,) of each row of the arrays (n, ...) taken together."""
    arrays = (np.ascontiguousarray(values[name]) for name in sorted(values))
    packed = [array.view(np.uint8).reshape(len(array), -1) for array in arrays]
    return np.array([zlib.crc32(row) for row in np.concatenate(packed, axis=1)], dtype=np.uint32)


def read_checked_rows(shard: h5py.File, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    """Return `read_unchecked_rows`. Raise StoreError if a row does not match its checksum."""
    values = read_unchecked_rows(shard, rows)
    sound = row_checksums(values) == shard["checksums"][rows]
    if not sound.all():
        digest = shard["digests"].asstr()[rows][int(np.argmin(sound))]
        raise StoreError(f"{shard.filename}: damaged: the values of sequence {digest} do not match their checksum")
    return values
