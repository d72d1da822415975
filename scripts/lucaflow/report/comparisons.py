"""Figures that compare: precisions by length, divisions along a sequence, and positions of windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    PercentFormatter,
    StrMethodFormatter,
)

from lucaflow.embedding.comparisons import REFERENCE, summarise_costs
from lucaflow.engine.windows import Windowing
from lucaflow.report.colours import PALETTE, SINGLE, look_of
from lucaflow.report.style import save_picture, save_png, set_title, show_lengths

# The error of a float32 value from rounding alone; smaller errors are drawn at this value.
_SMALLEST = 1e-8
# Residues in the running median along a sequence: at least these, and more if the sequence is long.
_RUNNING, _RUNNING_SHARE = 21, 1 / 40
# Lengths that differ by more than this factor are shown on a logarithmic axis.
_WIDE = 10
# A division's curve of all rows ends where this share of its rows is passed; few rows are far beyond.
_SHOWN_SHARE = 0.995


def draw_precisions(table: pd.DataFrame, title: str, details: str, path: Path) -> None:
    """Draw the error of each precision by length: for pooled means, matrices, and the worst row of each matrix."""
    panels = {
        "mean_relative_error": ("mean vector", "error relative to the vector"),
        "matrix_relative_error": ("matrix", "error relative to the matrix"),
        "lowest_row_cosine": ("worst row of the matrix", "1 - cosine"),
    }
    figure = Figure(figsize=(10.5, 4))
    axes = figure.subplots(1, 3)
    for panel, (column, (name, label)) in zip(axes, panels.items(), strict=True):
        errors = (1 - table[column] if "cosine" in column else table[column]).clip(lower=_SMALLEST)
        for number, precision in enumerate(table["precision"].unique()):
            chosen, look = table["precision"] == precision, look_of(number)
            panel.scatter(
                table["length"][chosen], errors[chosen], s=18, label=precision, color=look.colour, marker=look.sign,
                alpha=0.85, linewidths=0,
            )  # fmt: skip
        panel.set(yscale="log", ylabel=label)
        panel.set_title(name, fontsize="medium")
        show_lengths(panel, table["length"].min(), table["length"].max(), _WIDE)
    _number_errors(axes, table)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    set_title(figure, title, f"precisions compared with {REFERENCE} · {details}")
    save_picture(figure, path)


def _number_errors(axes: Sequence[Axes], table: pd.DataFrame) -> None:
    """Let whole powers of ten enclose the points, the same for both relative errors, which are given in per cent."""
    relative = table[["mean_relative_error", "matrix_relative_error"]].to_numpy().clip(_SMALLEST)
    cosines = (1 - table[["lowest_row_cosine"]].to_numpy()).clip(_SMALLEST)
    for panel, errors in zip(axes, (relative, relative, cosines), strict=True):
        if errors.size:
            panel.set_ylim(10 ** np.floor(np.log10(errors.min())), 10 ** np.ceil(np.log10(errors.max()) + 0.01))
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
    for panel in axes[:2]:
        panel.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{100 * value:.6f}".rstrip("0").rstrip(".") + " %")
        )


def draw_stitchings(rows: pd.DataFrame, title: str, details: str, path: Path) -> None:
    """Draw the distances from the one-pass rows: along the longest sequence, and of all rows together."""
    figure = Figure(figsize=(11, 4.6))
    along, together = figure.subplots(1, 2, width_ratios=(3, 2))
    longest = rows.sort_values("residue")["digest"].iloc[-1]
    length = int(rows["residue"].max())
    running = max(_RUNNING, round(_RUNNING_SHARE * length))
    costs = summarise_costs(rows).set_index("division")
    for number, (name, group) in enumerate(rows.groupby("division", sort=False)):
        style: dict[str, Any] = {"linewidth": 1.3, "color": look_of(number).colour}
        of_longest = group[group["digest"] == longest]
        smooth = of_longest["distance"].rolling(running, center=True, min_periods=1).median()
        along.plot(of_longest["residue"], smooth, **style)
        values = np.sort(group["distance"])
        cost = costs.loc[name]
        label = f"{name}: {cost['tokens_relative']:.1f} × tokens, {cost['pairs_relative']:.2f} × pairs"
        together.plot(values, np.linspace(0, 1, len(values)), label=label, **style)
    along.set_title(f"along the longest sequence (running median of {running} residues)", fontsize="medium")
    along.set(xlabel="residue", ylabel="distance from the row of one pass", xlim=(1, length), ylim=(0, None))
    together.set_title("all rows", fontsize="medium")
    furthest = rows.groupby("division")["distance"].quantile(_SHOWN_SHARE).max()
    together.set(xlabel="distance from the row of one pass", ylabel="share of rows within this distance", ylim=(0, 1))
    together.set_xlim(0, furthest)
    along.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    for axis in (along.yaxis, together.xaxis, together.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.grid(color="#dddddd", linewidth=0.6)
    figure.legend(*together.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    set_title(figure, title, f"windows compared with one pass · {details}")
    save_picture(figure, path)


def draw_windows(length: int, size: int, path: Path) -> None:
    """Draw the windows of a sequence, the rows that are kept from each window, and the context of each row."""
    ways = {
        "lucaone, overlap": Windowing(embedding_fixed_len_a_time=size),
        "lucaone, no overlap": Windowing(embedding_fixed_len_a_time=size, embedding_complete_seg_overlap=False),
        "centered": Windowing(embedding_fixed_len_a_time=size, stitching="centered"),
    }
    figure = Figure(figsize=(9, 5.4))
    axes = figure.subplots(len(ways), 2, sharex="col", width_ratios=(3, 2))
    for (name, windowing), (bars, context) in zip(ways.items(), axes, strict=True):
        left, right = [], []
        for number, window in enumerate(windowing.windows(length)):
            bars.barh(-number, window.length, left=window.start, color="#cce3f0", height=0.7)
            bars.barh(-number, window.kept, left=window.kept_start, color=SINGLE, height=0.7)
            kept_rows = np.arange(window.kept_start, window.kept_stop)
            left += (kept_rows - window.start).tolist()
            right += (window.stop - 1 - kept_rows).tolist()
        bars.set_title(name, loc="left")
        bars.set_yticks([])
        context.plot(left, color=PALETTE[2], label="before it", linewidth=1)
        context.plot(right, color=PALETTE[5], label="after it", linewidth=1)
        context.axhline(size / 4, color="#999999", linewidth=0.8, linestyle=":")
        context.set_ylabel("context (residues)", fontsize="small")
    axes[-1][0].set_xlabel("residue (dark: kept from this window)")
    axes[-1][1].set_xlabel("residue (dotted: a quarter of a window)")
    axes[0][1].legend(ncols=2, loc="upper right", bbox_to_anchor=(1, 1.25))
    save_png(figure, path)
