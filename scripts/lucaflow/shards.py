"""Which sequences go together into one job.

Sequences are placed by a binary prefix tree over their digests: a shard is all sequences whose digest begins with
its prefix. A prefix that holds more tokens than a job should is divided; one that holds a single sequence is not. So
adding, removing or editing a sequence touches the shard it belongs to and no other, however many there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

ALGORITHM_VERSION = 1
MOST_SHARDS = 999
_BITS = 64


def place(digests: np.ndarray, tokens: np.ndarray, shard_tokens: int) -> list[np.ndarray]:
    """Divide sequences into shards.

    digests: (U,) S64, hex and distinct; tokens: (U,) integers. Returns arrays of indices, one for each shard that
    holds anything, in the order of their prefixes. Digests that share their first 64 bits are never divided.
    """
    prefixes = np.fromiter((int(digest[:16], 16) for digest in digests.tolist()), dtype=np.uint64, count=len(digests))
    order = np.argsort(prefixes, kind="stable")
    prefixes = prefixes[order]
    cumulative = np.concatenate(([0], np.cumsum(tokens[order], dtype=np.int64)))
    shards = []
    pending = [(0, len(order), 0)]
    while pending:
        start, stop, depth = pending.pop()
        if stop - start <= 1 or cumulative[stop] - cumulative[start] <= shard_tokens or depth == _BITS:
            if stop > start:
                shards.append(order[start:stop])
            continue
        bit = np.uint64(1 << (_BITS - 1 - depth))
        middle = start + int(np.count_nonzero((prefixes[start:stop] & bit) == 0))
        pending += [(middle, stop, depth + 1), (start, middle, depth + 1)]
    return shards


def place_below_limit(digests: np.ndarray, tokens: np.ndarray, shard_tokens: int) -> list[np.ndarray]:
    """Divide sequences into shards as `place` does, doubling `shard_tokens` until there are under 1,000."""
    shards = place(digests, tokens, shard_tokens)
    while len(shards) > MOST_SHARDS:
        shard_tokens *= 2
        shards = place(digests, tokens, shard_tokens)
    return shards


def in_order(indices: np.ndarray, digests: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Sort a shard's sequences: the longest first, then by digest. Jobs compute and store them in this order."""
    return indices[np.lexsort((digests[indices], -lengths[indices]))]


def shard_name(digests: Iterable[bytes]) -> str:
    """Return the name of a shard, a digest of what it holds: 16 hex characters."""
    content = hashlib.sha256()
    for digest in digests:
        content.update(digest + b"\n")
    return content.hexdigest()[:16]
