"""Draw a dataset as a map: each record is a point, and similar embeddings are near each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lucaflow.engine.options import VECTORS
from lucaflow.records.table import accepted_records
from lucaflow.report.colours import GREY, NONE, name_in_legend
from lucaflow.report.columns import MOST_NUMBERED_LABELS, Numbers, Texts, column_of, read_columns
from lucaflow.report.figures import number_shown, sample_rows
from lucaflow.report.projections import OF_NEIGHBOURS, project
from lucaflow.report.style import plain, save_picture, set_title
from lucaflow.store.embeddings import Embeddings
from lucaflow.store.format import read_rows

# A page with more points is slow to open (docs/speed.md#maps), and a picture does not show more.
MOST_POINTS = 100_000
# If vectors are pooled from matrices, each point requires reading a matrix.
MOST_POOLED_POINTS = 2_000
# An SVG of more points holds them as one picture; one by one they would fill megabytes.
MOST_DRAWN_POINTS = 3_000


@dataclass(frozen=True)
class Related:
    """The neighbours of n points, in the map or not.

    names: of all that are neighbours; points: the point of each of these, -1 for one that is not in the map; rows:
    (n, k) places in `names`, the most similar first, -1 for none; similarity: (n, k).
    """

    names: list[str]
    points: np.ndarray
    rows: np.ndarray
    similarity: np.ndarray


@dataclass(frozen=True)
class Residues:
    """The sequences of n points: different texts, and the number (n,) of each point's text."""

    texts: list[str]
    numbers: np.ndarray


@dataclass(frozen=True)
class Map:
    """The points of a map, its title, and the names of its axes.

    points: x, y, id, description, label and length, by the number of the accepted record; title: the name of the
    dataset; details: a line below it; columns: further columns of the same points, as text; label_name: the name of the
    column of labels; remarks: sentences about the whole dataset; categories: the names of further columns that are
    names of groups even if they look like numbers.
    """

    points: pd.DataFrame
    title: str
    details: str
    axes: tuple[str, str]
    columns: pd.DataFrame
    label_name: str = "label"
    remarks: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    related: Related | None = None
    residues: Residues | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether any point has a label."""
        return bool((self.points["label"] != "").any())

    @property
    def coloured_by(self) -> Texts | Numbers:
        """The column by which points are coloured: the label, or the length if there are no labels."""
        if self.is_labelled:
            return column_of(self.label_name, self.points["label"], MOST_NUMBERED_LABELS)
        return self.length

    @property
    def length(self) -> Numbers:
        """The column of lengths."""
        return Numbers("length (residues)", self.points["length"].to_numpy(float))

    @property
    def has_ticks(self) -> bool:
        """Whether positions along the axes mean anything. By t-SNE and UMAP only neighbours do."""
        return self.axes not in OF_NEIGHBOURS.values()

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


def described(records: Path, labels: Path, chosen: np.ndarray) -> pd.DataFrame:
    """Return record, description, label and length of the accepted records with the numbers `chosen` (n,).

    They are in the order of `chosen`. A record without a label has an empty one.
    """
    parts = accepted_records(records, ["record", "description", "length"], labels)
    rows = pd.concat([part[part.index.isin(chosen)] for part in parts])
    rows["label"] = rows["label"].fillna("")
    return rows.astype({"length": int})


def make_map(
    embeddings_path: Path,
    records: Path,
    labels: Path,
    note: str,
    projection: str,
    threads: int = 1,
    columns: Path | None = None,
    label_name: str = "label",
) -> Map:
    """Project a dataset's embeddings to two dimensions.

    label_name: the name of the column of labels; columns: a table of further columns, whose first one, `record`, is the
    number of the record, and ascends.
    """
    with Embeddings(embeddings_path) as embeddings:
        packed = any(name in embeddings.outputs for name in VECTORS)
        chosen = sample_rows(len(embeddings), MOST_POINTS if packed else MOST_POOLED_POINTS)
        vectors, name = read_vectors(embeddings, chosen)
        ids = [embeddings.ids[row] for row in chosen]
        dataset, model, count = embeddings.attrs["dataset"], embeddings.model, len(embeddings)
    coordinates, axes = project(vectors, projection, threads)
    points = described(records, labels, chosen).assign(id=ids, x=coordinates[:, 0], y=coordinates[:, 1])
    further = read_columns(columns, points["record"]) if columns else points[[]]
    details = [f"{name} embeddings by {model}", number_shown(len(ids), count), *([note] if note else [])]
    return Map(points, dataset, " · ".join(details), axes, further, label_name)


def draw_picture(drawing: Map, path: Path) -> None:
    """Draw the map for a paper, as `path`, a PNG, and as an SVG beside it."""
    figure = Figure(figsize=(7.2, 5.4))
    axes = figure.subplots()
    column = drawing.coloured_by
    if isinstance(column, Texts):
        _scatter_groups(axes, drawing, column)
    else:
        _scatter_numbers(figure, axes, drawing, column)
    axes.set(xlabel=drawing.axes[0], ylabel=drawing.axes[1])
    if not drawing.has_ticks:
        axes.set(xticks=[], yticks=[])
    set_title(figure, drawing.title, drawing.details)
    save_picture(figure, path)


def _scatter_groups(axes: Any, drawing: Map, column: Texts) -> None:
    x, y = (drawing.points[name].to_numpy() for name in ("x", "y"))
    groups = column.groups()
    for order, group in enumerate(groups):
        # Grey points are below all others.
        height = 1 if group.look.colour == GREY else 2 + order / len(groups)
        axes.scatter(
            x[group.points],
            y[group.points],
            color=group.look.colour,
            marker=group.look.sign,
            label=plain(name_in_legend(group.label, len(group.points))),
            zorder=height,
            **_style_of_points(drawing),
        )
    title = None if column.name == "label" else plain(column.name)
    axes.legend(title=title, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=5 / drawing.size)


def _scatter_numbers(figure: Figure, axes: Any, drawing: Map, column: Numbers) -> None:
    known = ~np.isnan(column.values)
    points, style, name = drawing.points, _style_of_points(drawing), column.name
    if not known.all():
        axes.scatter(points["x"][~known], points["y"][~known], color=GREY, **style)
        name = f"{name}; grey: {name_in_legend(NONE, int((~known).sum()))}"
    low, high = column.bounds
    scale = (LogNorm if column.is_wide else Normalize)(low, high)
    shades = axes.scatter(
        points["x"][known], points["y"][known], c=column.values[known], norm=scale, cmap="viridis", **style
    )
    bar = figure.colorbar(shades, label=plain(name), alpha=1)
    if column.is_wide:
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _style_of_points(drawing: Map) -> dict[str, Any]:
    many = len(drawing.points) > MOST_DRAWN_POINTS
    return {"s": drawing.size**2, "alpha": 0.85, "linewidths": 0, "rasterized": many}
