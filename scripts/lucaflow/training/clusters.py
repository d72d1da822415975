"""Which sequences belong together, and which part does each cluster go to?

A cluster is a connected component: two sequences are in one if a chain of hits joins them. One more sequence can join
clusters, but never divide one. The part of a cluster follows from the seed and the smallest digest in it, whatever else
there is. So one more sequence moves no other, unless it joins a cluster and its own digest is the smallest there, or it
joins clusters to one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lucaflow.records.sequences import NormalisedSequence
from lucaflow.training.mmseqs import Hits, Mmseqs

PARTS = ("train", "dev", "test")
TRAIN, DEV, TEST = range(3)
# Hits are looked for at least from here on; below, alignments of unrelated sequences are as similar.
DEFAULT_IDENTITY = {"prot": 0.3, "gene": 0.8}


@dataclass(frozen=True)
class Links:
    """Pairs of sequences that resemble each other. first, second: (E,) their positions; identity: (E,) 0 to 1."""

    first: np.ndarray
    second: np.ndarray
    identity: np.ndarray

    def __add__(self, other: Links) -> Links:
        return Links(
            np.concatenate((self.first, other.first)),
            np.concatenate((self.second, other.second)),
            np.concatenate((self.identity, other.identity)),
        )

    def at_least(self, identity: float) -> Links:
        """Return the links of at least this identity."""
        kept = self.identity >= identity
        return Links(self.first[kept], self.second[kept], self.identity[kept])

    def __len__(self) -> int:
        return len(self.first)


def no_links() -> Links:
    """Return links between nothing."""
    return Links(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0))


@dataclass(frozen=True)
class Similarity:
    """When do two sequences resemble each other? min_seq_id: identity from which on they do, by their type; coverage:
    share of both sequences that must be aligned."""

    min_seq_id: dict[str, float]
    coverage: float = 0.8


def find_links(
    sequences: Sequence[NormalisedSequence],
    queries: np.ndarray,
    targets: np.ndarray,
    similarity: Similarity,
    mmseqs: Mmseqs,
    results: Path,
) -> Links:
    """Return which of the sequences at the positions `queries` (Q,) resemble which of those at `targets` (T,).

    Only sequences of one type are compared. results: where the log of MMseqs2 is kept if it fails.
    """
    found = no_links()
    for seq_type, asked, searched in by_type(sequences, queries, targets):
        hits = mmseqs.search(
            [sequences[each] for each in asked], [sequences[each] for each in searched], results,
            similarity.min_seq_id[seq_type], similarity.coverage,
        )  # fmt: skip
        found += _as_links(hits, asked, searched)
    return found


def by_type(
    sequences: Sequence[NormalisedSequence], queries: np.ndarray, targets: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each type with the positions of its queries and of its targets, where it has both."""
    types = np.array([sequence.seq_type for sequence in sequences])
    for seq_type in sorted({*types[queries]} & {*types[targets]}):
        yield str(seq_type), queries[types[queries] == seq_type], targets[types[targets] == seq_type]


def _as_links(hits: Hits, queries: np.ndarray, targets: np.ndarray) -> Links:
    first, second = queries[hits.query], targets[hits.target]
    other = first != second
    return Links(first[other], second[other], hits.identity[other])


def components(count: int, links: Links) -> np.ndarray:
    """Return the cluster (count,) of each of `count` sequences: numbers from 0."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(links), dtype=np.int8)
    graph = coo_matrix((ones, (links.first, links.second)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1])


def smallest(names: Sequence[str], clusters: np.ndarray) -> list[str]:
    """Return for each cluster, by its number, the smallest of its members' names. clusters: (n,) of each name."""
    found: dict[int, str] = {}
    for name, cluster in zip(names, clusters.tolist(), strict=True):
        found[cluster] = min(found.get(cluster, name), name)
    return [found[cluster] for cluster in range(len(found))]


def chance(key: str, seed: int) -> float:
    """Return a number of [0, 1) that depends on a key and the seed alone, and is spread evenly over keys."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:8]) / 2**64


def parts_of_keys(keys: Sequence[str], seed: int, fractions: Sequence[float]) -> np.ndarray:
    """Return the part (n,) of each key: test, dev or train with the chance that `fractions` of train, dev, test say.

    Of many keys these are the shares of the parts, within chance; of few they may be far from it.
    """
    drawn = np.array([chance(key, seed) for key in keys]).reshape(-1)
    test = drawn < fractions[TEST]
    return np.where(test, TEST, np.where(drawn < fractions[TEST] + fractions[DEV], DEV, TRAIN))
