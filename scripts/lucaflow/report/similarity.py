"""Draw how similar sequences are to each other, with the tree in which the most similar ones are joined first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from lucaflow.report.colours import shortened
from lucaflow.report.columns import texts_of
from lucaflow.report.style import plain, save_picture, set_title

# More of them would be a pixel each.
MOST_SEQUENCES = 300
# A tree of fewer says nothing that the shades don't.
FEWEST_IN_TREE = 10
# More names would be too small to be read.
MOST_NAMES = 60


def draw_similarity(
    units: np.ndarray, ids: Sequence[str], labels: Sequence[str], title: str, details: str, path: Path
) -> None:
    """Draw the cosines between vectors as a heat map, and their tree by average linkage, as PNG and SVG.

    units: (n, H) some hundred vectors of length 1; ids, labels: (n,), an empty label for none; title, details: above
    the picture.
    """
    similarity = units @ units.T
    figure = Figure(figsize=(7.2, 6.2))
    order = np.arange(len(units))
    tree, stripe, heat = figure.subplots(1, 3, width_ratios=(1.2, 0.15, 5))
    for axes in (tree, stripe):
        axes.set_axis_off()
    if len(units) >= FEWEST_IN_TREE:
        order = _draw_tree(tree, similarity)
    chosen = pd.Series([labels[row] for row in order.tolist()])
    if (chosen != "").any():
        _draw_labels(figure, stripe, chosen)
    shades = heat.imshow(
        similarity[np.ix_(order, order)], vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest", aspect="auto",
        origin="lower",
    )  # fmt: skip
    heat.set(xticks=[], yticks=[])
    if len(units) <= MOST_NAMES:
        heat.yaxis.tick_right()
        names = [plain(shortened(str(ids[row]), 24)) for row in order.tolist()]
        heat.set_yticks(np.arange(len(units)), names, fontsize=5)
    figure.colorbar(shades, ax=heat, label="similarity", shrink=0.6)
    set_title(figure, title, details)
    save_picture(figure, path)


def _draw_tree(axes: Any, similarity: np.ndarray) -> np.ndarray:
    """Draw the tree of n sequences, its leaves upwards; return them (n,) in this order."""
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    distance = np.maximum(1 - (similarity + similarity.T) / 2, 0)
    np.fill_diagonal(distance, 0)
    joined = linkage(squareform(distance.astype(np.float64), checks=False), "average")
    # Drawn here: scipy would draw by a part of matplotlib that keeps all figures.
    found = dendrogram(joined, orientation="left", no_plot=True)
    for depths, heights in zip(found["dcoord"], found["icoord"], strict=True):
        axes.plot(depths, np.array(heights) / 10 - 0.5, color="#444444", linewidth=0.5)
    axes.set(xlim=(max(joined[-1, 2], 1e-9), 0), ylim=(-0.5, len(similarity) - 0.5))
    return np.array(found["leaves"])


def _draw_labels(figure: Figure, axes: Any, labels: pd.Series) -> None:
    """Draw a stripe with the colour of each label (n,), upwards, and a legend."""
    groups = texts_of("label", labels).groups()
    place = np.zeros(len(labels), dtype=int)
    for number, each in enumerate(groups):
        place[each.points] = number
    colours = ListedColormap([each.look.colour for each in groups])
    axes.imshow(
        place[:, None], cmap=colours, vmin=-0.5, vmax=len(groups) - 0.5, aspect="auto", origin="lower",
        interpolation="nearest",
    )  # fmt: skip
    handles = [
        axes.plot([], [], color=each.look.colour, marker="s", linestyle="", label=plain(shortened(each.label, 20)))[0]
        for each in groups
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=5, fontsize="x-small")
