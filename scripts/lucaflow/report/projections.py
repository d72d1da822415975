"""Lay vectors out in two dimensions: by principal components, or so that neighbours stay together."""

from __future__ import annotations

import os
import tempfile

import numpy as np

# The maps that show neighbours alone, and the names of their axes.
OF_NEIGHBOURS = {"tsne": ("t-SNE 1", "t-SNE 2"), "umap": ("UMAP 1", "UMAP 2")}
_NAMES = {"tsne": "t-SNE", "umap": "UMAP"}
# They use this many principal components, and need at least this many different points.
COMPONENTS = 50
FEWEST_NEIGHBOURS = 8
PERPLEXITY = 30
# Of each point in UMAP, and the least distance of points that lie close together: the package's defaults.
NEIGHBOURS, DISTANCE = 15, 0.1
SEED = 1


def principal_components(vectors: np.ndarray, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return the first principal components (n, count) of vectors (n, H), and their shares of the variance (count,)."""
    # Subtracted in float64, block by block: rounding would hide the differences of vectors that are close together.
    centred = np.subtract(vectors, vectors.mean(0, dtype=np.float64), out=np.empty_like(vectors), casting="same_kind")
    if len(vectors) <= vectors.shape[1]:
        _, singular, axes = np.linalg.svd(centred, full_matrices=False)
        variances = singular**2
    else:
        # For many vectors, the covariance (H, H) takes less work, and far less memory, than the vectors themselves.
        ascending, columns = np.linalg.eigh(centred.T @ centred)
        variances, axes = np.maximum(ascending, 0)[::-1], columns.T[::-1]
    axes = axes[:count]
    # An axis has no sign of its own: its largest entry, of either sign, is made positive.
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    # A single point has no variance.
    shares = variances[:count] / (variances.sum() or 1)
    missing = (0, count - len(axes))
    return np.pad(centred @ axes.T, ((0, 0), missing)), np.pad(shares, missing)


def project(vectors: np.ndarray, projection: str, threads: int = 1) -> tuple[np.ndarray, tuple[str, str]]:
    """Return coordinates (n, 2) of vectors (n, H), and the names of the axes.

    projection: `components`, `tsne` or `umap`. If there are too few different vectors for one of the latter, components
    are used, and the names of the axes say so.
    """
    few = ""
    if projection in OF_NEIGHBOURS:
        if len(np.unique(vectors[: 100 * FEWEST_NEIGHBOURS], axis=0)) >= FEWEST_NEIGHBOURS:
            components, _ = principal_components(vectors, COMPONENTS)
            found = by_tsne(components, threads) if projection == "tsne" else by_umap(components)
            return found, OF_NEIGHBOURS[projection]
        few = f", too few for {_NAMES[projection]}"
    coordinates, shares = principal_components(vectors)
    x, y = (f"component {i} ({share:.0%} of the variance{few})" for i, share in enumerate(shares, start=1))
    return coordinates, (x, y)


def by_tsne(components: np.ndarray, threads: int) -> np.ndarray:
    """Return the t-SNE coordinates (n, 2) of principal components (n, C), from a fixed seed."""
    from openTSNE import TSNE  # with scikit-learn, which takes longer to import than a small map to draw

    perplexity = min(PERPLEXITY, (len(components) - 1) / 3)
    fitted = TSNE(perplexity=perplexity, initialization="pca", n_jobs=threads, random_state=SEED).fit(components)
    return np.asarray(fitted)


def by_umap(components: np.ndarray) -> np.ndarray:
    """Return the UMAP coordinates (n, 2) of principal components (n, C), from a fixed seed and the first two of them.

    By one thread, since with more the result depends on their order. McInnes et al. 2018, arXiv:1802.03426.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Else numba writes compiled code beside the package, and fails where neither that nor the home can be written.
        os.environ.setdefault("NUMBA_CACHE_DIR", folder)
        from umap import UMAP  # an extra; it takes seconds to import

        fitted = UMAP(
            n_neighbors=min(NEIGHBOURS, len(components) - 1),
            min_dist=DISTANCE,
            init=components[:, :2],
            random_state=SEED,
            n_jobs=1,
        )
        return np.asarray(fitted.fit_transform(components))
