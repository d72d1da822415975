"""Figures and pages of predictions: the classes, the probabilities and, with labels, the comparison with them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lucaflow.downstream.evaluation import Comparison, compare
from lucaflow.downstream.tables import GROUND_TRUTH
from lucaflow.records.table import accepted_records
from lucaflow.report.colours import GREY, SINGLE
from lucaflow.report.pages import page
from lucaflow.report.style import plain, save_png

MOST_CLASSES = 20
MOST_ROWS = 1000
_BINS = 30


def title_of(about: Mapping[str, Any]) -> str:
    """Return the title of predictions. about: their record, <task>.json."""
    failed = f", {about['failed']} could not be predicted" if about["failed"] else ""
    note = f" ({about['note']})" if about["note"] else ""
    return f"{about['dataset']}: {about['task']}{note}, {about['predicted']} predictions{failed}"


def draw(table: pd.DataFrame, about: Mapping[str, Any], path: Path) -> None:
    """Draw the classes (or values), the probabilities and, with ground truth, the comparison with it."""
    compared = compare(table, about["task_type"], about["labels"]) if GROUND_TRUTH in table else None
    regression = about["task_type"] == "regression"
    panels = (not regression) + 1 + (compared is not None and len(compared.truth) > 0)
    figure = Figure(figsize=(4.4 * panels, 4.2))
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    if not regression:
        _draw_classes(next(axes), table["label"], about)
    _draw_values(next(axes), table["prob"], about)
    if compared is not None and len(compared.truth):
        panel = next(axes)
        if regression:
            _draw_scatter(panel, compared)
        else:
            _draw_confusion(panel, compared, about)
    figure.suptitle(plain(title_of(about)), wrap=True)
    save_png(figure, path)


def _draw_classes(axes: Any, labels: pd.Series, about: Mapping[str, Any]) -> None:
    """Draw the counts of the predicted classes; of the most frequent ones if there are many."""
    if about["task_type"] == "multi_label":
        labels = pd.Series([name for cell in labels for name in ast.literal_eval(cell)], dtype=str)
    found = Counter(dict.fromkeys(about["labels"], 0))
    found.update(labels.tolist())
    counts = found.most_common(MOST_CLASSES)
    names = [plain(name) for name, _ in counts][::-1]
    axes.barh(range(len(names)), [count for _, count in counts][::-1], color=SINGLE)
    axes.set_yticks(range(len(names)), names, fontsize="x-small")
    axes.set(xlabel="predictions", title=f"{len(names)} most frequent" if len(counts) == MOST_CLASSES else "classes")


def _draw_values(axes: Any, cells: pd.Series, about: Mapping[str, Any]) -> None:
    """Draw a histogram of the probabilities, or of the values of a regression."""
    if about["task_type"] == "multi_label":
        values = np.array([value for cell in cells for value in ast.literal_eval(cell)], dtype=float)
    else:
        values = cells.astype(float).to_numpy()
    regression = about["task_type"] == "regression"
    axes.hist(values, bins=_BINS, range=None if regression else (0, 1), color=SINGLE)
    name = {"regression": "predicted value", "binary_class": f"probability of {' '.join(about['labels'][1:])}"}
    axes.set(xlabel=plain(name.get(about["task_type"], "probability of the predicted class")), ylabel="predictions")


def _draw_scatter(axes: Any, compared: Comparison) -> None:
    axes.scatter(compared.truth, compared.predicted, s=10, alpha=0.6, linewidths=0, color=SINGLE)
    ends = [min(compared.truth.min(), compared.predicted.min()), max(compared.truth.max(), compared.predicted.max())]
    axes.plot(ends, ends, color=GREY, linewidth=1)
    axes.set(xlabel="label", ylabel="predicted")


def _draw_confusion(axes: Any, compared: Comparison, about: Mapping[str, Any]) -> None:
    """Draw the confusion matrix as shares of each label; for sets of labels, the share of each label that is found."""
    if compared.truth.ndim == 2:
        found = (compared.truth * compared.predicted).sum(0) / np.maximum(1, compared.truth.sum(0))
        axes.barh(range(len(found)), found, color=SINGLE)
        axes.set_yticks(range(len(found)), map(plain, about["labels"]), fontsize="x-small")
        axes.set(xlabel="share of the label's records that are found", xlim=(0, 1))
        return
    there = Counter([*compared.truth.tolist(), *compared.predicted.tolist()])
    classes = sorted(index for index, _ in there.most_common(MOST_CLASSES))
    pairs = pd.crosstab(compared.truth, compared.predicted)
    counts = pairs.reindex(index=classes, columns=classes, fill_value=0).to_numpy()
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.spines[:].set_visible(True)
    names = [plain(about["labels"][index]) for index in classes]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize="x-small")
    axes.set_yticks(range(len(names)), names, fontsize="x-small")
    axes.set(xlabel="predicted", ylabel="label")
    if len(classes) <= 10:
        for (row, column), count in np.ndenumerate(counts):
            axes.text(column, row, count, ha="center", va="center", fontsize="x-small",
                      color="white" if shares[row, column] > 0.5 else "black")  # fmt: skip


def described(table: pd.DataFrame, records: Path, seq_types: Sequence[str]) -> pd.DataFrame:
    """Return the first predictions with the descriptions and lengths of their records.

    seq_types: the sequence type of each side. Records are found by id and type.
    """
    shown = table.head(MOST_ROWS)
    ids = np.unique(shown.filter(regex="^seq_id"))
    columns = ["id", "description", "seq_type", "side", "length"]
    # An id may occur in any number of pairs.
    identity = ["id", "seq_type", "side"]
    accepted = pd.concat(
        [part[part["id"].isin(ids)].drop_duplicates(identity) for part in accepted_records(records, columns)]
    )
    for side, seq_type in zip(("a", "b") if len(seq_types) == 2 else ("",), seq_types, strict=True):
        suffix = f"_{side}" if side else ""
        column = f"seq_id{suffix}"
        of_side = accepted[(accepted["side"] == side) & (accepted["seq_type"] == seq_type)].drop_duplicates("id")
        names = {"id": column, "description": f"description{suffix}", "length": f"length{suffix}"}
        shown = shown.merge(of_side[list(names)].rename(columns=names), how="left", on=column)
    return shown.loc[:, [name for name in shown if not (shown[name] == "").all()]]


def as_html(table: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """Return the first predictions as a page."""
    rest = "" if about["predicted"] <= len(table) else f"; the first {len(table)}, all are in {about['task']}.csv"
    return page(table, title_of(about) + rest)
