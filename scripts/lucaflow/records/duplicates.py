"""Which records repeat an earlier id, pair of ids or sequence?

Each record takes 48 bytes. Repeats are found by sorting, which needs as much memory again for a short time.
"""

from __future__ import annotations

from array import array

import numpy as np


class SeenRecords:
    """Records in input order. Each has a hash of its id, the digest of its sequence, and its length.

    N: number of records.
    """

    def __init__(self) -> None:
        self._id_hashes = array("q")
        self._digests = bytearray()
        self._lengths = array("q")
        self._pair_hashes = array("q")

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, id_hash: int, digest: bytes, length: int) -> None:
        """Add a record. Equal ids must have equal hashes; digest: 32 bytes."""
        self._id_hashes.append(id_hash)
        self._digests += digest
        self._lengths.append(length)

    def add_pair(self, pair_hash: int) -> None:
        """Add a pair of accepted records. Equal pairs must have equal hashes."""
        self._pair_hashes.append(pair_hash)

    @property
    def lengths(self) -> np.ndarray:
        """Number of residues of each record, (N,) int64."""
        return np.frombuffer(self._lengths, dtype=np.int64)

    def repeated_ids(self) -> np.ndarray:
        """Return whether each record shares its id hash with another, (N,) bool. Their ids are probably equal."""
        return repeated(np.frombuffer(self._id_hashes, dtype=np.int64))

    def repeated_pairs(self) -> np.ndarray:
        """Return whether each pair shares its hash with another, (number of pairs,) bool."""
        return repeated(np.frombuffer(self._pair_hashes, dtype=np.int64))

    def first_occurrences(self) -> np.ndarray:
        """Return whether each record is the first with its sequence, (N,) bool."""
        digests = np.frombuffer(self._digests, dtype=np.int64).reshape(-1, 4)
        candidates = np.flatnonzero(repeated(digests[:, 0]))
        _, first = np.unique(digests[candidates], axis=0, return_index=True)
        is_first = np.ones(len(digests), dtype=bool)
        is_first[candidates] = False
        is_first[candidates[first]] = True
        return is_first


def repeated(keys: np.ndarray) -> np.ndarray:
    """Return whether each of the integers (n,) occurs more than once, (n,) bool."""
    order = np.argsort(keys)
    ordered = keys[order]
    same = np.zeros(len(keys), dtype=bool)
    if len(keys) > 1:
        same[1:] = ordered[1:] == ordered[:-1]
        same[:-1] |= same[1:]
    found = np.empty_like(same)
    found[order] = same
    return found
