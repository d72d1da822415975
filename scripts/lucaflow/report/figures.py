"""Figures of a dataset: the lengths of its sequences, and contact maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lucaflow.report.colours import SINGLE
from lucaflow.report.style import plain, save_png
from lucaflow.store.embeddings import Embeddings

MOST_CONTACT_MAPS = 6
BINS = 40
# Lengths that differ by more than this factor are shown on a logarithmic axis.
WIDE = 20


def sample_rows(count: int, most: int) -> np.ndarray:
    """Return at most `most` of `count` rows, spread evenly."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


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
    axes.hist(list(lengths), bins=bounds.tolist(), weights=list(lengths.values()), color=SINGLE)
    if len(np.unique(np.diff(bounds))) > 1:
        axes.set_xscale("log")
    axes.set(xlabel="length (residues)", ylabel="distinct sequences")
    axes.set_title(plain(f"{dataset}: {sum(lengths.values()):,} distinct sequences"))
    save_png(figure, path)


def draw_contacts(embeddings_path: Path, path: Path) -> None:
    """Draw the contact maps of at most MOST_CONTACT_MAPS records, spread evenly over the dataset."""
    with Embeddings(embeddings_path) as embeddings:
        ids = [embeddings.ids[row] for row in sample_rows(len(embeddings), MOST_CONTACT_MAPS)]
        maps = [embeddings.read("contacts", identifier) for identifier in ids]
    columns = min(3, len(ids))
    rows = -(-len(ids) // columns)
    figure = Figure(figsize=(3 * columns + 1, 3.2 * rows))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(ids) :]:
        axes.set_axis_off()
    for axes, identifier, contacts in zip(grid.flat, ids, maps, strict=False):
        extent = (0.5, len(contacts) + 0.5, len(contacts) + 0.5, 0.5)
        shades = axes.imshow(contacts, vmin=0, vmax=1, cmap="Blues", interpolation="nearest", extent=extent)
        axes.spines[:].set_visible(True)
        axes.set_title(plain(identifier if len(identifier) <= 30 else f"{identifier[:29]}…"))
    figure.supxlabel("residue", fontsize="medium")
    figure.supylabel("residue", fontsize="medium")
    figure.colorbar(shades, ax=grid, label="probability of a contact", shrink=0.6)
    save_png(figure, path)
