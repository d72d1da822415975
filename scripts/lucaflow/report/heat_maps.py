"""A picture of a scan: how a model scores each letter at each position of a sequence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from lucaflow.report.style import save_picture, set_title

# Letters of similar residues side by side, with a gap between groups: small, aliphatic, aromatic, polar, charged.
_GROUPS = {"prot": ("GAP", "VILMC", "FYWH", "STNQ", "KRDE"), "gene": ("A", "C", "G", "T")}
# Residues in a line of the picture; a long sequence has more in each.
_A_LINE, _MOST_LINES, _STEP = 100, 12, 50
# The share of scores that are not beyond the ends of the colours.
_WITHIN = 0.98
_CELL = 0.125  # inches, in a line of _A_LINE
_COLOURS = "RdBu"
_DARK = "#222222"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def file_stem(number: int, identifier: str) -> str:
    """Return the name of the files of a record's heat map, without suffix. number: of the record, from 1.

    >>> file_stem(7, "sp|P12345|AATM_RABIT")
    '007_sp_P12345_AATM_RABIT'
    """
    return f"{number:03d}_{_NOT_IN_NAMES.sub('_', identifier)[:80]}"


def residues_a_line(length: int) -> int:
    """Return how many residues a line of the picture has.

    >>> residues_a_line(80), residues_a_line(300), residues_a_line(2000)
    (80, 100, 200)
    """
    if length <= _A_LINE:
        return length
    return max(_A_LINE, -(-length // _MOST_LINES // _STEP) * _STEP)


def draw_heat_map(
    scan: np.ndarray,
    letters: str,
    residues: str,
    words: Mapping[str, str],
    path: Path,
    first_residue: int = 1,
) -> None:
    """Draw the scores (n, K) of all letters at all positions of a sequence of n residues, as PNG and SVG.

    Colours are centred at 0, the score of the letter that is there, which has a dot. letters: of the K columns;
    words: `title`, `details`, and `scores`, what a score is.
    """
    groups = _GROUPS["gene" if len(letters) == 4 else "prot"]
    order = "".join(groups)
    values = scan[:, [letters.index(letter) for letter in order]].T  # (K, n)
    width = residues_a_line(len(residues))
    lines = -(-len(residues) // width)
    cell = _CELL * _A_LINE / max(width, 60)
    height = (len(order) + 5.5) * max(cell, 0.085)
    figure = Figure(figsize=(max(width, 40) * cell + 1.5, lines * height + 1.3))
    figure.set_layout_engine("constrained", hspace=0.02, h_pad=0.03)
    grid = figure.subplots(lines, 1, squeeze=False)[:, 0]
    limit = float(np.quantile(np.abs(values), _WITHIN)) or 1.0
    for number, axes in enumerate(grid):
        start = number * width
        shown = values[:, start : start + width]
        shades = _draw_line(axes, shown, order, residues[start : start + width], start + first_residue, limit, width)
        _mark_groups(axes, groups, shown.shape[1])
    grid[-1].set_xlabel("residue")
    bar = figure.colorbar(
        shades, ax=grid.tolist(), location="bottom", extend="both", shrink=0.4, aspect=40, pad=0.01, fraction=0.05
    )
    bar.set_label(words["scores"])
    bar.outline.set_visible(False)
    set_title(figure, words["title"], words["details"])
    save_picture(figure, path)


def _draw_line(
    axes: Axes, values: np.ndarray, order: str, residues: str, first: int, limit: float, width: int
) -> AxesImage:
    """Draw a line of the heat map, and the means below. values: (K, r); first: the number of its first residue."""
    size, count = values.shape
    rows = np.vstack([values, np.full((1, count), np.nan), values.mean(axis=0, keepdims=True)])
    shades = axes.imshow(
        rows, cmap=_COLOURS, vmin=-limit, vmax=limit, interpolation="nearest", aspect="auto",
        extent=(first - 0.5, first + count - 0.5, size + 1.5, -0.5),
    )  # fmt: skip
    there = [(first + number, order.index(letter)) for number, letter in enumerate(residues) if letter in order]
    if there:
        across, down = zip(*there, strict=True)
        axes.scatter(across, down, s=5.5 * (_A_LINE / max(width, 60)) ** 2, color=_DARK, linewidths=0)
    small = max(3.0, 6.5 * _A_LINE / max(width, 60))
    for number, letter in enumerate(residues):
        axes.text(
            first + number, -0.9, letter, ha="center", va="bottom", fontsize=min(small, 7), family="monospace",
            color=_DARK,
        )  # fmt: skip
    axes.set_xlim(first - 0.5, first + width - 0.5)
    axes.set_yticks([*range(size), size + 1], [*order, "mean"])
    axes.tick_params(axis="y", length=0, labelsize=min(small + 0.5, 7), pad=2)
    axes.tick_params(axis="x", labelsize=8, colors=_DARK)
    axes.set_xticks([number for number in range(first, first + count) if number % 10 == 0 or number == first])
    axes.spines[:].set_visible(False)
    return shades


def _mark_groups(axes: Axes, groups: tuple[str, ...], count: int) -> None:
    """Draw thin lines between groups of letters. count: of the residues in this line."""
    left = axes.get_xlim()[0]
    for end in np.cumsum([len(group) for group in groups])[:-1]:
        axes.plot((left, left + count), (end - 0.5, end - 0.5), color="white", linewidth=1.2)
