"""What is remembered of accepted records: 48 bytes each, in which repeated ids and sequences are found by sorting.

Sorting takes as much again for a while.
"""

from __future__ import annotations

from array import array

import numpy as np


class Ledger:
    """Accepted records in input order, by an integer for the id, the digest of the sequence, and its length."""

    def __init__(self) -> None:
        self._identities = array("q")
        self._digests = bytearray()
        self._lengths = array("q")
        self._pairs = array("q")

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, identity: int, digest: bytes, length: int) -> None:
        """Note a record. Equal ids must have equal integers; digest: 32 bytes."""
        self._identities.append(identity)
        self._digests += digest
        self._lengths.append(length)

    def add_pair(self, identity: int) -> None:
        """Note a pair of accepted records. Equal pairs must have equal integers."""
        self._pairs.append(identity)

    @property
    def lengths(self) -> np.ndarray:
        """Residues of each record, (N,) int64."""
        return np.frombuffer(self._lengths, dtype=np.int64)

    def repeated_identities(self) -> np.ndarray:
        """Return which records (N,) have an integer that another has, too; their ids are probably the same."""
        return repeated(np.frombuffer(self._identities, dtype=np.int64))

    def repeated_pairs(self) -> np.ndarray:
        """Return which pairs have an integer that another has, too."""
        return repeated(np.frombuffer(self._pairs, dtype=np.int64))

    def first_of_digest(self) -> np.ndarray:
        """Return which records (N,) are the first with their sequence."""
        digests = np.frombuffer(self._digests, dtype=np.int64).reshape(-1, 4)
        candidates = np.flatnonzero(repeated(digests[:, 0]))
        _, first = np.unique(digests[candidates], axis=0, return_index=True)
        is_first = np.ones(len(digests), dtype=bool)
        is_first[candidates] = False
        is_first[candidates[first]] = True
        return is_first


def repeated(keys: np.ndarray) -> np.ndarray:
    """Return which of the integers (N,) occur more than once."""
    order = np.argsort(keys)
    ordered = keys[order]
    same = np.zeros(len(keys), dtype=bool)
    if len(keys) > 1:
        same[1:] = ordered[1:] == ordered[:-1]
        same[:-1] |= same[1:]
    found = np.empty_like(same)
    found[order] = same
    return found
