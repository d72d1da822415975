"""Which sequences form groups by their embeddings, without any label, and are the same groups found in samples?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FEWEST_IN_GROUP = 5
COMPONENTS = 50
SAMPLES, SHARE_OF_SAMPLE = 10, 0.8
SEED = 0


@dataclass(frozen=True)
class Groups:
    """Groups of U sequences, numbered from 0, the largest first.

    number: (U,) the group of each sequence, -1 for none; membership: (U,) from 0 to 1, how central it is; stability:
    (G,) of each group, from 0 to 1; agreement: with the groups of samples, the mean adjusted Rand index.
    """

    number: np.ndarray
    membership: np.ndarray
    stability: np.ndarray
    agreement: float

    def names(self) -> np.ndarray:
        """Return the name (U,) of the group of each sequence, `G1` for the largest; an empty one for none."""
        return np.array([*(f"G{number + 1}" for number in range(len(self.stability))), ""], dtype=object)[self.number]

    def sentence(self) -> str:
        """Return in words how many groups there are, and how far samples agree."""
        count, inside = len(self.stability), int((self.number >= 0).sum())
        if not count:
            return f"HDBSCAN finds no groups among {len(self.number):,} sequences."
        groups, share = f"{count:,} group{'s' * (count > 1)}", f"{SHARE_OF_SAMPLE:.0%}"
        return (
            f"HDBSCAN finds {groups} with {inside:,} of {len(self.number):,} sequences. Samples of {share} of the "
            f"sequences give the same ones with an adjusted Rand index of {self.agreement:.2f}."
        )


def group(units: np.ndarray) -> Groups:
    """Return the groups of vectors (U, H) of length 1 by HDBSCAN, from their first 50 principal components.

    A group has at least 5 sequences. Ten times 80 % of the sequences are drawn and grouped again: the stability of a
    group is the mean of its largest Jaccard index with a group of the sample. Campello et al. 2013,
    doi:10.1007/978-3-642-37456-2_14.
    """
    if len(units) < 2 * FEWEST_IN_GROUP:
        return Groups(np.full(len(units), -1), np.zeros(len(units)), np.zeros(0), np.nan)
    points = _components(units)
    number, membership = _hdbscan(points)
    order = np.argsort(-np.bincount(number[number >= 0]), kind="stable") if (number >= 0).any() else np.zeros(0, int)
    rank = np.empty(len(order) + 1, dtype=int)
    rank[order], rank[-1] = np.arange(len(order)), -1
    number = rank[number]
    stability, agreement = _in_samples(points, number, len(order))
    return Groups(number, membership, stability, agreement)


def _components(units: np.ndarray) -> np.ndarray:
    from sklearn.decomposition import PCA  # takes a second to import

    count = min(COMPONENTS, *units.shape)
    return np.asarray(PCA(count, svd_solver="randomized", random_state=SEED).fit_transform(units))


def _hdbscan(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.cluster import HDBSCAN

    fitted: Any = HDBSCAN(min_cluster_size=FEWEST_IN_GROUP, copy=True).fit(points)
    return np.asarray(fitted.labels_), np.asarray(fitted.probabilities_)


def _in_samples(points: np.ndarray, number: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Return the stability (G,) of groups, and the mean adjusted Rand index of all sequences."""
    from sklearn.metrics import adjusted_rand_score

    random = np.random.default_rng(SEED)
    stability, agreements = np.zeros(count), []
    for _ in range(SAMPLES):
        chosen = np.sort(random.choice(len(points), int(SHARE_OF_SAMPLE * len(points)), replace=False))
        found, _ = _hdbscan(points[chosen])
        stability += _largest_jaccard(number[chosen], found, count)
        agreements.append(adjusted_rand_score(number[chosen], found))
    return stability / SAMPLES, float(np.mean(agreements))


def _largest_jaccard(number: np.ndarray, found: np.ndarray, count: int) -> np.ndarray:
    """Return for each of `count` groups its largest Jaccard index with a group of `found`. Both: (n,), -1 for none."""
    others = int(found.max(initial=-1)) + 1
    if not others:
        return np.zeros(count)
    both = (number >= 0) & (found >= 0)
    shared = np.bincount(number[both] * others + found[both], minlength=count * others).reshape(count, others)
    sizes = np.bincount(number[number >= 0], minlength=count)[:, None] + np.bincount(
        found[found >= 0], minlength=others
    )
    return np.asarray((shared / np.maximum(sizes - shared, 1)).max(1))
