"""Figures that compare: precisions by length, divisions along a sequence, and positions of windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from lucaflow.embedding.comparisons import REFERENCE, summarise_costs
from lucaflow.engine.windows import Windowing
from lucaflow.report.style import save_png

# The error of a float32 value from rounding alone; smaller errors are drawn at this value.
_SMALLEST = 1e-8
# Residues in the running median along a sequence.
_RUNNING = 21


def draw_precisions(table: pd.DataFrame, title: str, path: Path) -> None:
    """Draw the error of each precision by length: for pooled means, matrices, and the worst row of each matrix."""
    panels = {
        "mean_relative_error": "relative error of the mean",
        "matrix_relative_error": "relative error of the matrix",
        "lowest_row_cosine": "1 - cosine of the worst row",
    }
    figure = Figure(figsize=(10.5, 3.6))
    axes = figure.subplots(1, 3)
    for panel, (column, label) in zip(axes, panels.items(), strict=True):
        errors = (1 - table[column] if "cosine" in column else table[column]).clip(lower=_SMALLEST)
        for precision in table["precision"].unique():
            chosen = table["precision"] == precision
            panel.scatter(table["length"][chosen], errors[chosen], s=16, label=precision, alpha=0.85)
        panel.set(yscale="log", xlabel="length (residues)", ylabel=label)
        if len(errors):
            panel.set_ylim(10 ** np.floor(np.log10(errors.min())), 10 ** np.ceil(np.log10(errors.max()) + 0.01))
        if table["length"].max() > 10 * table["length"].min():
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(ScalarFormatter())
            panel.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    figure.suptitle(f"{title}; against {REFERENCE}".replace("$", r"\$"))
    save_png(figure, path)


def draw_stitchings(rows: pd.DataFrame, title: str, path: Path) -> None:
    """Draw the distances from the one-pass rows: along the longest sequence, and of all rows together."""
    figure = Figure(figsize=(11, 3.8))
    along, together = figure.subplots(1, 2, width_ratios=(3, 2))
    longest = rows.sort_values("residue")["digest"].iloc[-1]
    for name, group in rows[rows["digest"] == longest].groupby("division", sort=False):
        running = group["distance"].rolling(_RUNNING, center=True, min_periods=1).median()
        along.plot(group["residue"], running, linewidth=1, label=name)
    along.set(
        xlabel=f"residue of the longest sequence (running median of {_RUNNING})",
        ylabel="distance from the one-pass row",
        ylim=(0, None),
    )
    for _, cost in summarise_costs(rows).iterrows():
        values = np.sort(rows["distance"][rows["division"] == cost["division"]])
        label = f"{cost['division']} ({cost['tokens_relative']:.1f} × tokens, {cost['pairs_relative']:.2f} × pairs)"
        together.plot(values, np.linspace(0, 1, len(values)), linewidth=1.2, label=label)
    together.set(xlabel="distance from the one-pass row", ylabel="share of rows below", xlim=(0, None), ylim=(0, 1))
    handles = together.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2)
    figure.suptitle(title.replace("$", r"\$"))
    save_png(figure, path)


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
            bars.barh(-number, window.length, left=window.start, color="#c6dbef", height=0.7)
            bars.barh(-number, window.kept, left=window.kept_start, color="#08519c", height=0.7)
            kept_rows = np.arange(window.kept_start, window.kept_stop)
            left += (kept_rows - window.start).tolist()
            right += (window.stop - 1 - kept_rows).tolist()
        bars.set_title(name, loc="left")
        bars.set_yticks([])
        context.plot(left, color="#1b9e77", label="before it", linewidth=1)
        context.plot(right, color="#d95f02", label="after it", linewidth=1)
        context.axhline(size / 4, color="#999999", linewidth=0.8, linestyle=":")
        context.set_ylabel("context (residues)", fontsize="small")
    axes[-1][0].set_xlabel("residue (dark: kept from this window)")
    axes[-1][1].set_xlabel("residue (dotted: a quarter of a window)")
    axes[0][1].legend(ncols=2, loc="upper right", bbox_to_anchor=(1, 1.25))
    save_png(figure, path)
