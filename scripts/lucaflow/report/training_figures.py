"""The pictures of the page of a trained model."""

from __future__ import annotations

import base64
import html
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lucaflow.downstream.evaluation import Comparison
from lucaflow.report.colours import GREY, PALETTE, SINGLE, look_of, shortened
from lucaflow.report.figures import sample_rows
from lucaflow.report.predictions import MOST_CLASSES, draw_confusion, draw_scatter
from lucaflow.report.style import picture_bytes, plain
from lucaflow.training.results import TrainingResult

_MOST_POINTS = 5_000
_HEIGHT = 3.4
_TEXT = "small"


def as_image(drawn: Figure, shows: str) -> str:
    """Return a figure as an element of HTML that holds it. shows: what is in it, for who cannot see it."""
    for axes in drawn.axes:
        axes.tick_params(labelsize=_TEXT)
        axes.xaxis.label.set_fontsize(_TEXT)
        axes.yaxis.label.set_fontsize(_TEXT)
    data = base64.b64encode(picture_bytes(drawn)).decode()
    style = f"max-width:100%;width:{drawn.get_figwidth():.1f}in"
    return f"<p><img style='{style}' alt='{html.escape(shows)}' src='data:image/png;base64,{data}'></p>\n"


def draw_curves(result: TrainingResult) -> Figure:
    """Draw the losses and the metric that chose the epoch, by epoch; the kept one is marked."""
    figure = Figure(figsize=(9, _HEIGHT))
    losses, metric = figure.subplots(1, 2)
    epochs = [record.epoch for record in result.records]
    loss = "avg_loss" if result.options.is_exact else "loss"
    _curve(losses, epochs, [record.train_loss for record in result.records], 0, "train")
    _curve(losses, epochs, [record.dev[loss] for record in result.records], 1, "dev")
    losses.set_ylabel("loss")
    losses.legend()
    chosen = result.options.best_metric
    _curve(metric, epochs, [record.dev.get(chosen, np.nan) for record in result.records], 1, "dev")
    if result.options.is_exact:
        _curve(metric, epochs, [record.test.get(chosen, np.nan) for record in result.records], 2, "test")
        metric.legend()
    metric.set_ylabel(f"{chosen} of dev")
    for axes in (losses, metric):
        axes.axvline(result.kept, color=GREY, linestyle=":", linewidth=1.5)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(f"dotted: epoch {result.kept}, which was kept", fontsize=_TEXT)
    return figure


def _curve(axes: Axes, epochs: list[int], values: list[float], colour: int, name: str) -> None:
    marker = "o" if len(epochs) < 30 else ""
    axes.plot(epochs, values, color=PALETTE[colour], marker=marker, markersize=3, linewidth=1.3, label=name)


def draw_classes_found(result: TrainingResult) -> Figure:
    """Draw how many rows of each class were predicted as which class: the most frequent classes if there are many."""
    compared = result.compared
    there = Counter(compared.truth.tolist()) + Counter(compared.predicted.tolist())
    classes = sorted(number for number, _ in there.most_common(MOST_CLASSES))
    size = max(3.6, 0.34 * len(classes) + 1.8)
    figure = Figure(figsize=(size + 1, size))
    draw_confusion(figure.subplots(), compared, classes, {"labels": list(result.classes)})
    return figure


def draw_calibration(bins: pd.DataFrame, result: TrainingResult) -> Figure:
    """Draw how often the model was right by the probability that it states, and how many rows have each."""
    task_type = result.options.task_type
    figure = Figure(figsize=(4.6, 4.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    above.plot(bins["stated"], bins["right"], color=SINGLE, marker="o", linewidth=1.3)
    above.set(ylim=(-0.02, 1.02), xlim=(-0.02, 1.02))
    above.set_ylabel({"multi_class": "share that is right"}.get(task_type, "share with the class"))
    below.bar(bins["stated"], bins["rows"], width=0.06, color=SINGLE)
    below.set_ylabel("labels" if task_type == "multi_label" else f"{result.scored.unit}s")
    second = shortened(result.classes[1]) if task_type == "binary_class" else ""
    of = {"multi_class": "the predicted class", "binary_class": second}.get(task_type, "each class")
    below.set_xlabel(plain(f"probability of {of}"))
    for axis in (above.xaxis, above.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def draw_values(result: TrainingResult) -> tuple[Figure, int]:
    """Draw predicted values against the true ones, and what is left; return also how many rows are drawn."""
    rows = sample_rows(len(result.compared.truth), _MOST_POINTS)
    truth, predicted = result.compared.truth[rows], result.compared.predicted[rows]
    figure = Figure(figsize=(9, 4))
    scatter, residuals = figure.subplots(1, 2)
    draw_scatter(scatter, Comparison(truth, predicted, predicted, 0))
    options: dict[str, Any] = {"s": 10, "alpha": 0.6, "linewidths": 0, "color": look_of(1).colour}
    residuals.scatter(predicted, predicted - truth, **options)
    residuals.axhline(0, color=GREY, linewidth=1)
    residuals.set(xlabel="predicted", ylabel="predicted - ground truth")
    residuals.set_title("residuals", fontsize=_TEXT)
    return figure, len(rows)
