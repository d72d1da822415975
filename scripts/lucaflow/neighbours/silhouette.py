"""Are sequences nearer to those with the same label than to those with any other?"""

from __future__ import annotations

import numpy as np

_ROWS_AT_ONCE = 1000


def silhouettes(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the silhouette (n,) of each vector, from -1 to 1, by the cosine distance.

    vectors: (n, H) of length 1; labels: (n,) codes from 0 on. Of a vector it is (b - a) / max(a, b): a is its mean
    distance to the others of its label, b that to the label with the nearest vectors. The only vector of a label has 0.
    All are NaN with fewer than two labels. Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7.

    Since cosines are linear, the mean distance to a label is that to the mean of its vectors.

    >>> silhouettes(np.array([[1.0, 0], [1, 0], [0, 1], [-1, 0]]), np.array([0, 0, 1, 1])).tolist()
    [1.0, 1.0, 0.0, 0.5]
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return np.full(len(labels), np.nan)
    sums = np.zeros((len(counts), vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, codes, vectors)
    found = np.zeros(len(labels))
    for start in range(0, len(labels), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        found[part] = _of_part(vectors[part].astype(np.float64), codes[part], sums, counts)
    return found


def _of_part(vectors: np.ndarray, codes: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    similarity = vectors @ sums.T  # (n, labels)
    row = np.arange(len(codes))
    others = counts[codes] - 1
    own = 1 - (similarity[row, codes] - (vectors**2).sum(1)) / np.maximum(others, 1)
    distance = 1 - similarity / counts
    distance[row, codes] = np.inf
    other = distance.min(1)
    larger = np.maximum(own, other)
    return np.where((others > 0) & (larger > 0), (other - own) / np.where(larger > 0, larger, 1), 0)
