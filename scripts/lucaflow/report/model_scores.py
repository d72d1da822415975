"""The scores of trained models beside those of baselines, as a picture."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lucaflow.report.colours import SINGLE, shortened
from lucaflow.report.style import plain, save_picture, set_title
from lucaflow.training.statistics import Scores

_TEXT = "small"
_OF_BASELINES = "#666666"
_BARS = {
    "reliable": " (bars: 95 % intervals)",
    "unreliable": " (bars: 95 % intervals, unreliable: few clusters)",
    "none": "",
}


def draw_scores(scores: Scores, metric: str, trained: Collection[str]) -> Figure:
    """Draw a metric of trained models and of baselines as points with their intervals, from top to bottom."""
    models = list(dict.fromkeys(model for model, _ in scores.values))
    figure = Figure(figsize=(7, 0.9 + 0.34 * len(models)))
    axes = figure.subplots()
    for place, name in enumerate(models):
        value = scores.values[name, metric]
        low, high = scores.interval(name, metric)
        colour = SINGLE if name in trained else _OF_BASELINES
        if np.isfinite(low):
            axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([value], [place], color=colour, marker="o", linestyle="", markersize=6)
    axes.set_yticks(range(len(models)), [plain(shortened(name)) for name in models])
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"{metric}{_BARS[scores.certainty]}", fontsize=_TEXT)
    axes.tick_params(labelsize=_TEXT)
    return figure


def draw_comparison(scores: Scores, metric: str, trained: Collection[str], title: str, path: Path) -> None:
    """Draw the trained models of a task and the baselines, and save it as a PNG, and an SVG beside it."""
    figure = draw_scores(scores, metric, trained)
    figure.set_figheight(figure.get_figheight() + 0.5)
    set_title(figure, title, f"{scores.rows:,} test rows in {scores.clusters:,} clusters · grey: baselines")
    save_picture(figure, path)
