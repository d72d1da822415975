"""Draw a dataset as a map: each record is a point, and similar embeddings are near each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lucaflow.engine.options import VECTORS
from lucaflow.records.table import accepted_records
from lucaflow.report.colours import NONE, OTHER, colour_of_labels
from lucaflow.report.figures import sample_rows
from lucaflow.report.style import plain, save_png
from lucaflow.store.embeddings import Embeddings
from lucaflow.store.format import read_rows

# A page with more points is slow to open (docs/speed.md#maps), and a picture does not show more.
MOST_POINTS = 100_000
# If vectors are pooled from matrices, each point requires reading a matrix.
MOST_POOLED_POINTS = 2_000
MOST_LABELS = 19
# t-SNE uses this many principal components, and needs at least this many different points.
COMPONENTS = 50
FEWEST_NEIGHBOURS = 8
PERPLEXITY = 30
SEED = 1


@dataclass(frozen=True)
class Map:
    """The points of a map, with x, y, id, description, label and length; its title; and the names of its axes."""

    points: pd.DataFrame
    title: str
    axes: tuple[str, str]

    @property
    def labels(self) -> list[str]:
        """Labels in the order of the legend: by frequency, with the rest together as `other` at the end."""
        counts = self.points["label"].value_counts()
        named = [label for label in counts.index if label != OTHER]
        return named + [OTHER] * (OTHER in counts.index)

    @property
    def is_labelled(self) -> bool:
        return self.labels != [""]

    @property
    def size(self) -> float:
        """The diameter of a point in points (1/72 inch), smaller if there are many."""
        return float(np.clip(140 / len(self.points) ** 0.4, 1.5, 4.5))


def read_vectors(embeddings: Embeddings, records: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the vectors (n, H) of records, and their kind: the first of VECTORS that is stored, or else the mean."""
    name = next((name for name in VECTORS if name in embeddings.outputs), None)
    if name is None:
        first, last = (1, -1) if embeddings.options["matrix_add_special_token"] else (0, None)
        matrices = (embeddings.read("matrix", embeddings.ids[record])[first:last] for record in records)
        return np.stack([np.asarray(matrix, dtype=np.float32).mean(0) for matrix in matrices]), "mean"
    return read_rows(embeddings.file[name], embeddings.file["sequence"][:][records]).astype(np.float32), name


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


def neighbour_embedding(vectors: np.ndarray, threads: int) -> np.ndarray:
    """Return the t-SNE coordinates (n, 2) of vectors (n, H), from their principal components and a fixed seed."""
    from openTSNE import TSNE  # with scikit-learn, which takes longer to import than a small map to draw

    components, _ = principal_components(vectors, COMPONENTS)
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    fitted = TSNE(perplexity=perplexity, initialization="pca", n_jobs=threads, random_state=SEED).fit(components)
    return np.asarray(fitted)


def project(vectors: np.ndarray, projection: str, threads: int = 1) -> tuple[np.ndarray, tuple[str, str]]:
    """Return coordinates (n, 2) of vectors (n, H), and the names of the axes. projection: `components` or `tsne`.

    If there are too few different vectors for t-SNE, components are used, and the names of the axes say so.
    """
    if projection == "tsne" and len(np.unique(vectors[: 100 * FEWEST_NEIGHBOURS], axis=0)) >= FEWEST_NEIGHBOURS:
        return neighbour_embedding(vectors, threads), ("t-SNE 1", "t-SNE 2")
    coordinates, shares = principal_components(vectors)
    few = ", too few for t-SNE" if projection == "tsne" else ""
    x, y = (f"component {i} ({share:.0%} of the variance{few})" for i, share in enumerate(shares, start=1))
    return coordinates, (x, y)


def described(records: Path, labels: Path, chosen: np.ndarray) -> pd.DataFrame:
    """Return description, label and length of the accepted records with the numbers `chosen` (n,), in their order."""
    parts = accepted_records(records, ["description", "length"], labels)
    rows = pd.concat([part[part.index.isin(chosen)] for part in parts])
    rows["label"] = rows["label"].fillna(NONE if rows["label"].notna().any() else "")
    return rows.astype({"length": int})


def make_map(embeddings_path: Path, records: Path, labels: Path, note: str, projection: str, threads: int = 1) -> Map:
    """Project a dataset's embeddings to two dimensions."""
    with Embeddings(embeddings_path) as embeddings:
        packed = any(name in embeddings.outputs for name in VECTORS)
        chosen = sample_rows(len(embeddings), MOST_POINTS if packed else MOST_POOLED_POINTS)
        vectors, name = read_vectors(embeddings, chosen)
        ids = [embeddings.ids[row] for row in chosen]
        model = f"{embeddings.attrs['llm_version']} {embeddings.attrs['llm_step']}"
        dataset, count = embeddings.attrs["dataset"], len(embeddings)
    coordinates, axes = project(vectors, projection, threads)
    points = described(records, labels, chosen).assign(id=ids, x=coordinates[:, 0], y=coordinates[:, 1])
    frequent = points["label"].value_counts().index[:MOST_LABELS]
    points["label"] = points["label"].where(points["label"].isin(frequent), OTHER)
    shown = f"{count} sequences" if len(ids) == count else f"{len(ids)} of {count} sequences, spread evenly"
    title = f"{dataset}: {name} embeddings by {model}{f' ({note})' if note else ''}; {shown}"
    return Map(points, title, axes)


def draw_png(drawing: Map, path: Path) -> None:
    """Draw the map for a paper: coloured by label, or by length if there are no labels."""
    figure = Figure(figsize=(7.2, 5.4))
    axes = figure.subplots()
    points, area = drawing.points, drawing.size**2
    if drawing.is_labelled:
        for label, colour in colour_of_labels(drawing.labels).items():
            group = points[points["label"] == label]
            axes.scatter(group["x"], group["y"], s=area, color=colour, label=plain(label), alpha=0.85, linewidths=0)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=4 / drawing.size)
    else:
        shades = axes.scatter(points["x"], points["y"], c=points["length"], s=area, cmap="viridis", linewidths=0)
        figure.colorbar(shades, label="length (residues)")
    axes.set(xlabel=drawing.axes[0], ylabel=drawing.axes[1])
    axes.set_title(plain(drawing.title), wrap=True)
    save_png(figure, path)
