"""Figures and pages of predictions: the classes, the probabilities and, with labels, the comparison with them."""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lucaflow.downstream.evaluation import Comparison, compare
from lucaflow.downstream.tables import GROUND_TRUTH
from lucaflow.records.table import accepted_records
from lucaflow.report.colours import GREY, SINGLE, shortened
from lucaflow.report.pages import page
from lucaflow.report.style import plain, save_picture

MOST_CLASSES = 20
MOST_ROWS = 1000
_BINS = 30
# Longer names of classes are shortened in figures.
_LONGEST_NAME = 28
# All text in the panels of a figure has this size.
_TEXT = "small"
# Width of a panel in inches.
_PANEL = 4.6
_95_PERCENT = 1.959964


def title_of(about: Mapping[str, Any]) -> str:
    """Return the title of predictions. about: their record, <task>.json."""
    failed = f", {about['failed']} could not be predicted" if about["failed"] else ""
    note = f" ({about['note']})" if about["note"] else ""
    return f"{about['dataset']}: {about['task']}{note}, {about['predicted']} predictions{failed}"


def comparison_of(table: pd.DataFrame, about: Mapping[str, Any]) -> Comparison | None:
    """Return the predictions beside their ground truth; None if no row has any."""
    compared = compare(table, about["task_type"], about["labels"]) if GROUND_TRUTH in table else None
    return compared if compared is not None and len(compared.truth) else None


def agreement(compared: Comparison, about: Mapping[str, Any]) -> str:
    """Return how well predictions agree with their ground truth, in words."""
    count = len(compared.truth)
    if about["task_type"] == "regression":
        error = np.abs(compared.truth - compared.predicted).mean()
        return f"mean absolute error {error:.3g}, n = {count}"
    same = compared.truth == compared.predicted
    right = int((same.all(axis=1) if same.ndim == 2 else same).sum())
    low, high = wilson(right, count)
    return f"accuracy {right / count:.2f} (95 % interval {low:.2f} to {high:.2f}), n = {count}"


def wilson(right: int, count: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share, by Wilson. count: at least 1.

    >>> [round(end, 3) for end in wilson(89, 120)]
    [0.657, 0.812]
    """
    share, z = right / count, _95_PERCENT**2 / count
    middle, half = share + z / 2, (z * (share * (1 - share) + z / 4)) ** 0.5
    return max(0.0, (middle - half) / (1 + z)), min(1.0, (middle + half) / (1 + z))


def draw(table: pd.DataFrame, about: Mapping[str, Any], path: Path) -> None:
    """Draw the classes (or values), the probabilities and, with ground truth, the comparison with it.

    path: of the PNG; an SVG is saved beside it. The classes have the same order in all panels.
    """
    compared = comparison_of(table, about)
    regression = about["task_type"] == "regression"
    counts = Counter[int]() if regression else _counts_of_classes(table["label"], about)
    classes = [] if regression else _classes_shown(counts, compared, about)
    panels = (not regression) + 1 + (compared is not None)
    figure = Figure(figsize=(_PANEL * panels, max(3.6, 0.24 * len(classes) + 1.9)))
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    if not regression:
        _draw_classes(next(axes), counts, classes, about)
    _draw_values(next(axes), table["prob"], about)
    if compared is not None:
        _draw_comparison(next(axes), compared, classes, about)
    # The model was trained on the other rows.
    alone = f"; shown are the {about['test_rows']:,} test rows alone" if "test_rows" in about else ""
    lines = [title_of(about) + alone, *([agreement(compared, about)] if compared is not None else [])]
    figure.suptitle(_in_lines(lines, 12 * _PANEL * panels), fontsize="medium")
    scope = [*about["warnings"], about["scope"]]
    figure.supxlabel(_in_lines(scope, 17 * _PANEL * panels), fontsize="x-small", color="#444444")
    save_picture(figure, path)


def _in_lines(texts: Sequence[str], letters: float) -> str:
    """Return texts as lines of at most so many letters, as a figure shows them."""
    return plain("\n".join(textwrap.fill(text, int(letters)) for text in texts))


def _counts_of_classes(labels: pd.Series, about: Mapping[str, Any]) -> Counter[int]:
    """Return how often each class, by its number, was predicted."""
    numbers = {name: number for number, name in enumerate(about["labels"])}
    if about["task_type"] == "multi_label":
        return Counter(numbers[name] for cell in labels for name in ast.literal_eval(cell))
    return Counter({numbers[name]: count for name, count in labels.value_counts(sort=False).items()})


def _classes_shown(counts: Counter[int], compared: Comparison | None, about: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the classes that all panels show, in the order of the task: the most frequent if many."""
    if len(about["labels"]) <= MOST_CLASSES:
        return list(range(len(about["labels"])))
    there = Counter(counts)
    if compared is not None:
        there.update(compared.truth.sum(0) if compared.truth.ndim == 2 else compared.truth.tolist())
    return sorted(number for number, _ in there.most_common(MOST_CLASSES))


def _names(classes: Sequence[int], about: Mapping[str, Any]) -> list[str]:
    """Return the names of classes, shortened, with what they mean where the task says so."""
    meanings = about.get("classes", {})
    labels = [about["labels"][number] for number in classes]
    names = [f"{label}: {meanings[label]}" if label in meanings else label for label in labels]
    return [plain(shortened(name, _LONGEST_NAME)) for name in names]


def _finish(axes: Any, title: str, xlabel: str, ylabel: str = "") -> None:
    """Give a panel its title and the names of its axes, all in the same size."""
    axes.set_title(plain(title), fontsize=_TEXT)
    if "predictions" in (xlabel, ylabel):
        (axes.xaxis if xlabel == "predictions" else axes.yaxis).set_major_locator(MaxNLocator("auto", integer=True))
    axes.set_xlabel(plain(xlabel), fontsize=_TEXT)
    axes.set_ylabel(ylabel, fontsize=_TEXT)
    axes.tick_params(labelsize=_TEXT)


def _bars(axes: Any, lengths: Sequence[float], texts: Sequence[str], names: Sequence[str]) -> None:
    """Draw a bar for each class, from top to bottom, with a text at its end."""
    bars = axes.barh(range(len(names)), lengths, color=SINGLE)
    axes.bar_label(bars, texts, fontsize=_TEXT, padding=2)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)


def _draw_classes(axes: Any, counts: Counter[int], classes: Sequence[int], about: Mapping[str, Any]) -> None:
    found = [counts[number] for number in classes]
    _bars(axes, found, [f"{count:,}" for count in found], _names(classes, about))
    every = len(about["labels"])
    few = f"the {len(classes)} most frequent of {every} classes" if len(classes) < every else "predicted classes"
    _finish(axes, few, "predictions")


def _draw_values(axes: Any, cells: pd.Series, about: Mapping[str, Any]) -> None:
    """Draw a histogram of the probabilities, or of the values of a regression."""
    if about["task_type"] == "multi_label":
        values = np.array([value for cell in cells for value in ast.literal_eval(cell)], dtype=float)
    else:
        values = cells.astype(float).to_numpy()
    regression = about["task_type"] == "regression"
    axes.hist(values, bins=_BINS, range=None if regression else (0, 1), color=SINGLE)
    if regression:
        _finish(axes, "predicted values", "predicted value", "predictions")
        return
    of = _names([1], about)[0] if about["task_type"] == "binary_class" else "the predicted class"
    _finish(axes, "probabilities", f"probability of {of}", "predictions")


def _draw_comparison(axes: Any, compared: Comparison, classes: Sequence[int], about: Mapping[str, Any]) -> None:
    if about["task_type"] == "regression":
        draw_scatter(axes, compared)
    elif compared.truth.ndim == 2:
        _draw_found(axes, compared, classes, about)
    else:
        draw_confusion(axes, compared, classes, about)


def draw_scatter(axes: Any, compared: Comparison) -> None:
    """Draw predicted values against the true ones."""
    axes.scatter(compared.truth, compared.predicted, s=10, alpha=0.6, linewidths=0, color=SINGLE)
    ends = [min(compared.truth.min(), compared.predicted.min()), max(compared.truth.max(), compared.predicted.max())]
    axes.plot(ends, ends, color=GREY, linewidth=1)
    _finish(axes, "against the ground truth", "ground truth", "predicted")


def _draw_found(axes: Any, compared: Comparison, classes: Sequence[int], about: Mapping[str, Any]) -> None:
    """Draw, for sets of labels, how many of the records with each label are found."""
    there = compared.truth.sum(0)[classes]
    found = (compared.truth * compared.predicted).sum(0)[classes]
    texts = [f"{hit:,} of {count:,}" for hit, count in zip(found, there, strict=True)]
    _bars(axes, found / np.maximum(1, there), texts, _names(classes, about))
    axes.set_xlim(0, 1.25)
    _finish(axes, "against the ground truth", "share of the records with the label that are found")


def draw_confusion(axes: Any, compared: Comparison, classes: Sequence[int], about: Mapping[str, Any]) -> None:
    """Draw how many records of each true class were predicted as which class; the colour is the share of its row.

    classes: the numbers of those shown; about: has their names as `labels`.
    """
    pairs = pd.crosstab(compared.truth, compared.predicted)
    counts = pairs.reindex(index=list(classes), columns=list(classes), fill_value=0).to_numpy()
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.spines[:].set_visible(True)
    names = _names(classes, about)
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    for (row, column), count in np.ndenumerate(counts):
        if count or len(classes) <= 10:
            axes.text(column, row, f"{count:,}", ha="center", va="center",
                      fontsize=_TEXT if len(classes) <= 10 else "x-small",
                      color="white" if shares[row, column] > 0.5 else "black")  # fmt: skip
    _finish(axes, "against the ground truth", "predicted", "ground truth")


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


def as_html(table: pd.DataFrame, about: Mapping[str, Any], agrees: str = "") -> str:
    """Return the first predictions as a page. agrees: how well all of them agree with their ground truth."""
    rest = "" if about["predicted"] <= len(table) else f"The first {len(table):,}; all are in {about['task']}.csv."
    shown = table.assign(**{name: [_number(cell) for cell in table[name]] for name in table if name in _NUMBERS})
    warnings = [f"{warning}." for warning in about["warnings"]]
    notes = [about["scope"], *warnings, _sentence(agrees, about), rest]
    return page(shown, title_of(about), [text for text in notes if text])


# Columns whose cells are numbers; the others stay as they are, such as an id `1.10`.
_NUMBERS = ("prob", "length", "length_a", "length_b")


def _sentence(text: str, about: Mapping[str, Any]) -> str:
    of = "test rows alone, on which the model was not trained" if "test_rows" in about else "dataset"
    return f"Against the labels of the {of}: {text}." if text else ""


def _number(cell: Any) -> Any:
    """Return a cell of a table as a number. One that is none, as a list of several probabilities is not, stays."""
    try:
        return int(cell) if str(cell).isdecimal() else float(cell)
    except ValueError:
        return cell
