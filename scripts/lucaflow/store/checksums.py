"""Are the values in an HDF5 file those that were written?

Each row of a shard has the CRC-32 of its digest, length, counts, device and vectors. Each matrix has a checksum over
the CRC-32s of its rows, so that its rows can be written in any order.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping

import h5py
import numpy as np

from lucaflow.engine.options import VECTORS
from lucaflow.errors import StoreError
from lucaflow.store.format import CHECKSUM_ATTRIBUTE, COUNTS, IDENTITY

_BLOCK_BYTES = 1 << 24


def checksums_of_rows(rows: np.ndarray) -> np.ndarray:
    """Return the CRC-32 (n,) of the bytes of each row of an array (n, ...)."""
    octets = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
    return np.array([zlib.crc32(row.data) for row in octets], dtype="<u4")


def matrix_checksum(row_crcs: np.ndarray) -> np.uint64:
    """Return the checksum of a matrix or of contacts: 64 bits of the SHA-256 of the CRC-32s (r,) of all its rows.

    Not their CRC-32: CRC-32 is linear, so that two changed bits in different rows would often cancel out.
    """
    return np.uint64(int.from_bytes(hashlib.sha256(row_crcs.astype("<u4").data).digest()[:8], "little"))


def checked_blocks(dataset: h5py.Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows (r, w) of a matrix or of contacts in blocks, each with the number of its first row.

    Raise StoreError after the last block if the values do not match their checksum.
    """
    row_crcs = []
    rows = max(1, _BLOCK_BYTES // max(1, dataset.dtype.itemsize * dataset.shape[1]))
    for start in range(0, len(dataset), rows):
        block = dataset[start : start + rows]
        row_crcs.append(checksums_of_rows(block))
        yield start, block
    _require(dataset, np.concatenate(row_crcs) if row_crcs else np.empty(0))


def _require(dataset: h5py.Dataset, row_crcs: np.ndarray) -> None:
    """Raise StoreError if the CRC-32s (r,) of all rows are not those that were written; an array has some row."""
    if not len(row_crcs) or matrix_checksum(row_crcs) != dataset.attrs.get(CHECKSUM_ATTRIBUTE):
        raise StoreError(f"{dataset.file.filename}: {dataset.name} is damaged: its values do not match their checksum")


def read_checked(dataset: h5py.Dataset) -> np.ndarray:
    """Return a matrix or contacts (r, w). Raise StoreError if the values do not match their checksum."""
    found: np.ndarray = dataset[()]
    _require(dataset, checksums_of_rows(found))
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
    """Return digests, lengths, counts, device, `taken_over` and vectors of a shard's rows (n,), by dataset name."""
    names = (*IDENTITY, *COUNTS, "device", "taken_over", *VECTORS)
    return {name: shard[name][rows] for name in names if name in shard}


def row_checksums(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the CRC-32 (n,) of each row of the arrays (n, ...) taken together."""
    arrays = (np.ascontiguousarray(values[name]) for name in sorted(values))
    packed = [array.view(np.uint8).reshape(len(array), -1) for array in arrays]
    return checksums_of_rows(np.concatenate(packed, axis=1))


def read_checked_rows(shard: h5py.File, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    """Return `read_unchecked_rows`. Raise StoreError if a row does not match its checksum."""
    values = read_unchecked_rows(shard, rows)
    sound = row_checksums(values) == shard["checksums"][rows]
    if not sound.all():
        digest = shard["digests"].asstr()[rows][int(np.argmin(sound))]
        raise StoreError(f"{shard.filename}: damaged: the values of sequence {digest} do not match their checksum")
    return values
