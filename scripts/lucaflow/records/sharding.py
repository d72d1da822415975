"""Which sequences go together into one job?

Sequences are divided by a binary prefix tree over their digests: a shard is all sequences whose digests begin with
the same prefix. A prefix with more tokens than one job should have is divided, unless it has a single sequence. So if a
sequence is added, removed or edited, only its own shard changes, however many shards there are.
"""

from __future__ import annotations

import hashlib

import numpy as np

from lucaflow.files.json_files import DIGEST_LENGTH

MOST_SHARDS = 999
# Patterns of names, for `glob`: of shards, and of folders of shards by their fingerprint.
SHARD_NAMES = "[0-9a-f]" * 16
FINGERPRINT_NAMES = "[0-9a-f]" * DIGEST_LENGTH
_BITS = 64


def divide(prefixes: np.ndarray, tokens: np.ndarray, shard_tokens: int) -> list[np.ndarray]:
    """Divide sequences into shards.

    prefixes: (U,) the first 64 bits of each digest, as integers; tokens: (U,) integers. Returns an array of indices for
    each shard that is not empty, in the order of prefixes. Digests that share 64 bits are never divided.
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


def divide_below_limit(
    prefixes: np.ndarray, tokens: np.ndarray, shard_tokens: int, most_shards: int = MOST_SHARDS
) -> list[np.ndarray]:
    """Divide sequences as `divide` does, but double `shard_tokens` until there are at most `most_shards` shards."""
    # A shard has at most `shard_tokens`, or is a single longer sequence. So this sum / `shard_tokens` is a lower bound
    # of their number, found without dividing.
    while np.minimum(tokens, shard_tokens).sum() > most_shards * shard_tokens:
        shard_tokens *= 2
    shards = divide(prefixes, tokens, shard_tokens)
    while len(shards) > most_shards:
        shard_tokens *= 2
        shards = divide(prefixes, tokens, shard_tokens)
    return shards


def longest_first(indices: np.ndarray, digests: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the indices sorted by length, longest first, then by digest. Jobs compute and store in this order.

    digests: (U, 4) big-endian 64-bit integers, the first two of which distinguish any sequences; lengths: (U,).
    """
    high, low = digests[indices, :2].astype(np.uint64).T
    return indices[np.lexsort((low, high, -lengths[indices]))]


def shard_name(digests: np.ndarray) -> str:
    """Return the name of a shard: 16 hex characters of the SHA-256 of its digests, (n, 4)."""
    return hashlib.sha256(digests.tobytes()).hexdigest()[:16]
