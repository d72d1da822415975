"""Figures of a dataset: the lengths of its sequences, and contact maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from lucaflow.report.colours import SINGLE, shortened
from lucaflow.report.style import plain, save_picture, set_title, show_lengths
from lucaflow.store.embeddings import Embeddings

MOST_CONTACT_MAPS = 6
BINS = 40
# Lengths that differ by more than this factor are shown on a logarithmic axis.
WIDE = 20


def sample_rows(count: int, most: int) -> np.ndarray:
    """Return at most `most` of `count` rows, spread evenly."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def number_shown(shown: int, count: int) -> str:
    """Say how many sequences a picture shows.

    >>> number_shown(6, 6), number_shown(6, 1840)
    ('6 sequences', '6 of 1,840 sequences, spread evenly')
    """
    sequences = "sequence" if count == 1 else "sequences"
    return f"{count:,} {sequences}" if shown == count else f"{shown:,} of {count:,} {sequences}, spread evenly"


def bounds_of(lengths: Sequence[int]) -> np.ndarray:
    """Return the bounds of a histogram's bars: of equal width, or growing by a factor if lengths differ much.

    Bounds are between whole numbers. Bars that grow start with one length each.
    """
    shortest, longest = min(lengths), max(lengths)
    if longest > WIDE * shortest:
        return np.unique(np.geomspace(shortest, longest + 1, BINS + 1).round()) - 0.5
    width = -(-(longest - shortest + 1) // BINS)
    return np.arange(shortest, longest + width + 1, width) - 0.5


def draw_lengths(lengths: Mapping[int, int], dataset: str, path: Path) -> None:
    """Draw a histogram of the lengths of a dataset's distinct sequences, in residues."""
    figure = Figure(figsize=(6.4, 3.6))
    axes = figure.subplots()
    bounds = bounds_of(list(lengths))
    *_, bars = axes.hist(list(lengths), bins=bounds.tolist(), weights=list(lengths.values()), color=SINGLE)
    for bar in cast(BarContainer, bars):
        bar.set(edgecolor="white", linewidth=0.4)
    show_lengths(axes, min(lengths), max(lengths), WIDE)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("distinct sequences")
    count = sum(lengths.values())
    middle = np.median(np.repeat(list(lengths), list(lengths.values())))
    spread = f"{min(lengths):,} to {max(lengths):,} residues, half of them at most {middle:,.0f}"
    set_title(figure, dataset, f"{count:,} distinct sequences · {spread}")
    save_picture(figure, path)


def draw_contacts(embeddings_path: Path, path: Path) -> None:
    """Draw the contact maps of at most MOST_CONTACT_MAPS records, spread evenly over the dataset."""
    with Embeddings(embeddings_path) as embeddings:
        ids = [embeddings.ids[row] for row in sample_rows(len(embeddings), MOST_CONTACT_MAPS)]
        maps = {identifier: embeddings.read("contacts", identifier) for identifier in ids}
        dataset, model = embeddings.attrs["dataset"], embeddings.model
        shown = number_shown(len(ids), len(embeddings))
    details = f"contacts predicted by {model} · {shown}"
    draw_maps(maps, (dataset, details, "probability of a contact"), (0, 1), path)


def draw_maps(
    maps: Mapping[str, np.ndarray], words: tuple[str, str, str], limits: tuple[float, float] | None, path: Path
) -> None:
    """Draw maps (n, n) of pairs of residues side by side, by id.

    words: title, details, and what a shade means; limits: of the shades; None if each map has its own.
    """
    title, details, meaning = words
    columns = min(3, len(maps))
    rows = -(-len(maps) // columns)
    # Shades of their own have no bar beside the maps, but the words above need room.
    figure = Figure(figsize=(3 * columns + 1 if limits else max(3 * columns + 1, 6.4), 3.3 * rows + 0.4))
    figure.set_layout_engine("constrained", hspace=0.08)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(maps) :]:
        axes.set_axis_off()
    for axes, (identifier, values) in zip(grid.flat, maps.items(), strict=False):
        extent = (0.5, len(values) + 0.5, len(values) + 0.5, 0.5)
        low, high = limits or (0.0, float(np.quantile(values, 0.995)) or 1.0)
        shades = axes.imshow(values, vmin=low, vmax=high, cmap="Blues", interpolation="nearest", extent=extent)
        axes.spines[:].set_visible(True)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.set_title(plain(shortened(identifier, 30)))
    figure.supxlabel("residue", fontsize="medium")
    figure.supylabel("residue", fontsize="medium")
    if limits:
        figure.colorbar(shades, ax=grid, label=meaning, shrink=0.6)
    set_title(figure, title, details)
    save_picture(figure, path)
