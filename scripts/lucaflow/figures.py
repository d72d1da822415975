"""Maps: each record a point, alike embeddings near each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import matplotlib
import numpy as np
import pandas as pd
from bokeh.embed import file_html
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure
from bokeh.resources import INLINE
from sklearn.decomposition import PCA

from lucaflow.files import replacing, write_text
from lucaflow.settings import VECTORS
from lucaflow.store import Embeddings

matplotlib.use("Agg")
from matplotlib import pyplot as plt

MOST_POINTS = 20_000
# Where vectors have to be pooled from matrices first, each point costs reading one.
MOST_POOLED_POINTS = 2_000
MOST_LABELS = 19
MOST_CONTACT_MAPS = 6
OTHER = "other"
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Map:
    """Points of a map: a table with x, y, id, description, label and length; and what to say about it."""

    points: pd.DataFrame
    title: str
    explained: tuple[float, float]

    @property
    def labels(self) -> list[str]:
        """Labels in the order of the legend: the most frequent first, the rest together as `other`."""
        counts = self.points["label"].value_counts()
        named = [label for label in counts.index if label != OTHER]
        return named + [OTHER] * (OTHER in counts.index)

    @property
    def axes(self) -> tuple[str, str]:
        x, y = (f"component {i} ({share:.0%} of the variance)" for i, share in enumerate(self.explained, start=1))
        return x, y


def sample_rows(count: int, most: int) -> np.ndarray:
    """Return at most `most` of `count` rows, spread evenly."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def read_vectors(embeddings: Embeddings, records: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the vectors (n, H) of records, and what they are: the mean if there is one."""
    name = next((name for name in VECTORS if name in embeddings.outputs), None)
    if name is None:
        first, last = (1, -1) if embeddings.options["matrix_add_special_token"] else (0, None)
        matrices = (embeddings[embeddings.ids[record]] for record in records)
        return np.stack([np.asarray(matrix[first:last], dtype=np.float32).mean(0) for matrix in matrices]), "mean"
    rows, inverse = np.unique(embeddings.file["sequence"][:][records], return_inverse=True)
    return _read_rows(embeddings.file[name], rows)[inverse].astype(np.float32), name


def _read_rows(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([dataset[rows[i : i + _ROWS_AT_ONCE]] for i in range(0, len(rows), _ROWS_AT_ONCE)])


def project(vectors: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the first two principal components (n, 2) and their shares of the variance."""
    components = min(2, *vectors.shape)
    pca = PCA(n_components=components, svd_solver="full")
    with np.errstate(invalid="ignore"):  # one point has no variance to share out
        coordinates = pca.fit_transform(vectors)
    shares = np.nan_to_num(pca.explained_variance_ratio_)
    missing = 2 - components
    first, second = np.pad(shares, (0, missing)).tolist()
    return np.pad(coordinates, ((0, 0), (0, missing))), (first, second)


def make_map(embeddings_path: Path, records: Path, labels: Path, note: str) -> Map:
    """Project a dataset's embeddings to two dimensions."""
    table = pd.read_csv(
        records, sep="\t", dtype=str, keep_default_na=False, usecols=["record", "status", "description", "length"]
    )
    table = table.merge(pd.read_csv(labels, sep="\t", dtype=str, keep_default_na=False), how="left", on="record")
    table["label"] = table["label"].fillna("")
    table = table[table["status"] == "accepted"].reset_index(drop=True)
    with Embeddings(embeddings_path) as embeddings:
        packed = any(name in embeddings.outputs for name in VECTORS)
        chosen = sample_rows(len(embeddings), MOST_POINTS if packed else MOST_POOLED_POINTS)
        vectors, name = read_vectors(embeddings, chosen)
        ids = [embeddings.ids[row] for row in chosen]
        model = f"{embeddings.attrs['llm_version']} {embeddings.attrs['llm_step']}"
        dataset, count = embeddings.attrs["dataset"], len(embeddings)
    coordinates, explained = project(vectors)
    points = table.iloc[chosen][["description", "label", "length"]].assign(
        id=ids, x=coordinates[:, 0], y=coordinates[:, 1], length=lambda chosen: chosen["length"].astype(int)
    )
    frequent = points["label"].value_counts().index[:MOST_LABELS]
    points["label"] = points["label"].where(points["label"].isin(frequent), OTHER)
    shown = f"{count} sequences" if len(ids) == count else f"{len(ids)} of {count} sequences, spread evenly"
    title = f"{dataset}: {name} embeddings by {model}{f' ({note})' if note else ''}; {shown}"
    return Map(points, title, explained)


def colour_of_labels(labels: list[str]) -> dict[str, str]:
    palette = plt.get_cmap("tab10" if len(labels) <= 10 else "tab20").colors  # type: ignore[attr-defined]
    colours = {label: matplotlib.colors.to_hex(palette[i % len(palette)]) for i, label in enumerate(labels)}
    return colours | ({OTHER: "#bbbbbb"} if OTHER in colours else {})


def plain(text: str) -> str:
    """Return text as matplotlib shows it: dollars start no formula, an underscore hides no label."""
    return text.replace("$", r"\$").removeprefix("_") or " "


def save_png(drawn: Any, path: Path) -> None:
    """Write a figure of matplotlib, completely or not at all."""
    with replacing(path, guarded=True) as temporary:
        drawn.savefig(temporary, dpi=150, format="png", metadata={"Software": None})
    plt.close(drawn)


def draw_png(drawing: Map, path: Path) -> None:
    """Draw the map for a paper: coloured by label, or by length where there are no labels."""
    figure_, axes = plt.subplots(figsize=(7.2, 5.4), layout="constrained")
    labels = drawing.labels
    if labels == [""]:
        shades = axes.scatter(
            drawing.points["x"], drawing.points["y"], c=drawing.points["length"], s=14, cmap="viridis"
        )
        figure_.colorbar(shades, label="length (residues)")
    else:
        for label, colour in colour_of_labels(labels).items():
            group = drawing.points[drawing.points["label"] == label]
            axes.scatter(group["x"], group["y"], s=14, color=colour, label=plain(label), alpha=0.85, linewidths=0)
        axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(xlabel=drawing.axes[0], ylabel=drawing.axes[1])
    axes.set_title(plain(drawing.title), fontsize="small", wrap=True)
    axes.spines[["top", "right"]].set_visible(False)
    save_png(figure_, path)


def draw_contacts(embeddings_path: Path, path: Path) -> None:
    """Draw the contact maps of a few records, spread evenly over the dataset."""
    with Embeddings(embeddings_path) as embeddings:
        ids = [embeddings.ids[row] for row in sample_rows(len(embeddings), MOST_CONTACT_MAPS)]
        maps = [embeddings.read("contacts", identifier) for identifier in ids]
    columns = min(3, len(ids))
    rows = -(-len(ids) // columns)
    figure_, grid = plt.subplots(
        rows, columns, figsize=(3 * columns + 1, 3.2 * rows), layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(ids) :]:
        axes.set_axis_off()
    for axes, identifier, contacts in zip(grid.flat, ids, maps, strict=False):
        extent = (0.5, len(contacts) + 0.5, len(contacts) + 0.5, 0.5)
        shades = axes.imshow(contacts, vmin=0, vmax=1, cmap="Blues", interpolation="nearest", extent=extent)
        axes.set_title(plain(identifier if len(identifier) <= 30 else f"{identifier[:29]}…"), fontsize="small")
    figure_.supxlabel("residue", fontsize="medium")
    figure_.supylabel("residue", fontsize="medium")
    figure_.colorbar(shades, ax=grid, label="probability of a contact", shrink=0.6)
    save_png(figure_, path)


def draw_html(drawing: Map, path: Path) -> None:
    """Draw the map as one page that needs nothing else: hover for id, label, length; click a label to hide it."""
    plot = figure(
        title=drawing.title,
        x_axis_label=drawing.axes[0],
        y_axis_label=drawing.axes[1],
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        sizing_mode="stretch_both",
        min_height=480,
    )
    hover = [("id", "@id"), ("description", "@description"), ("label", "@label"), ("length", "@length")]
    plot.add_tools(HoverTool(tooltips=hover))
    for label, colour in colour_of_labels(drawing.labels).items():
        group = drawing.points[drawing.points["label"] == label]
        named: dict[str, Any] = {"legend_label": label} if label else {}
        source = ColumnDataSource({str(name): group[name] for name in group})
        plot.scatter("x", "y", source=source, size=7, color=colour, alpha=0.8, **named)
    if plot.legend:
        plot.legend.click_policy = "hide"
        plot.add_layout(plot.legend[0], "right")
    write_text(path, file_html(plot, INLINE, title=drawing.title))
