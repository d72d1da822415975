"""Which sequences go together into one job.

Sequences are placed by a binary prefix tree over their digests: a shard is all sequences whose digest begins with
its prefix. A prefix that holds more tokens than a job should is divided; one that holds a single sequence is not. So
adding, removing or editing a sequence touches the shard it belongs to and no other, however many there are.
"""

from __future__ import annotations

import hashlib

import numpy as np

MOST_SHARDS = 999
_BITS = 64


def place(prefixes: np.ndarray, tokens: np.ndarray, shard_tokens: int) -> list[np.ndarray]:
    """Divide sequences into shards.

    prefixes: (U,) the first 64 bits of each digest, as integers; tokens: (U,) integers. Returns arrays of indices, one
    for each shard that holds anything, in the order of their prefixes. Digests that share 64 bits are never divided.
    """
    prefixes = prefixes.astype(np.uint64)
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


def place_below_limit(
    prefixes: np.ndarray, tokens: np.ndarray, shard_tokens: int, most: int = MOST_SHARDS
) -> list[np.ndarray]:
    """Divide sequences into shards as `place` does, doubling `shard_tokens` until there are at most `most`."""
    # Of a sequence no more than `shard_tokens` counts for the sum that a shard may have: there are at least so many.
    while np.minimum(tokens, shard_tokens).sum() > most * shard_tokens:
        shard_tokens *= 2
    shards = place(prefixes, tokens, shard_tokens)
    while len(shards) > most:
        shard_tokens *= 2
        shards = place(prefixes, tokens, shard_tokens)
    return shards


def in_order(indices: np.ndarray, digests: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Sort a shard's sequences: the longest first, then by digest. Jobs compute and store them in this order.

    digests: (U, 4) big-endian 64-bit integers, of which two tell any sequences apart; lengths: (U,).
    """
    high, low = digests[indices, :2].astype(np.uint64).T
    return indices[np.lexsort((low, high, -lengths[indices]))]


def shard_name(digests: np.ndarray) -> str:
    """Return the name of a shard, a digest of the digests it holds, (n, 4): 16 hex characters."""
    return hashlib.sha256(digests.tobytes()).hexdigest()[:16]
