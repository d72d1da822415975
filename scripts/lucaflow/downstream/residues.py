"""Tables of predictions for each residue of a sequence: its cells, and a table with a row for each.

In a table of predictions the cells of a sequence are JSON lists, with an entry for each residue; `null` for residues
that the model does not read, those beyond the length it was trained on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lucaflow.downstream.residue_outputs import NOT_READ
from lucaflow.downstream.tables import GROUND_TRUTH, Formatter

logger = logging.getLogger(__name__)

# Residues that are drawn and compared with labels at most: some 200 bytes each.
MOST_RESIDUES = 2_000_000
# Letters of a cell that a page shows.
_MOST_SHOWN = 200
# The labels of the residues of a record by its cell, (k,) or (k, C), NaN for one without; None if it says nothing.
LabelsOf = Callable[[str], np.ndarray | None]


@dataclass(frozen=True)
class ResidueFormatter(Formatter):
    """Turns the predictions for the residues of a sequence into two cells, JSON lists of probabilities and labels."""

    def cells(self, values: np.ndarray, classes: np.ndarray) -> list[Any]:
        """Return the cells for values (k, w) of classes (k,)."""
        read = classes != NOT_READ
        task_type, names = self.task.task_type, self.labels
        if task_type == "multi_label":
            chosen = values >= np.float32(self.threshold)
            sets = [np.flatnonzero(row).tolist() for row in chosen]
            numbers: list[Any] = [_as_numbers(row[of]) for row, of in zip(values, sets, strict=True)]
            labels: list[Any] = [[names[each] for each in of] for of in sets]
        else:
            numbers = _as_numbers(values[:, 0])
            if task_type == "regression":
                labels = numbers
            elif task_type == "binary_class":
                labels = [names[int(value >= np.float32(self.threshold))] for value in values[:, 0]]
            else:
                labels = [names[each] for each in classes.tolist()]
        return [_as_list(numbers, read), _as_list(labels, read)]


def _as_numbers(values: np.ndarray) -> list[float]:
    """Return float32 numbers with as many digits as tell them apart."""
    return [float(str(value)) for value in values.astype(np.float32)]


def _as_list(entries: Sequence[Any], read: np.ndarray) -> str:
    listed = [entry if known else None for entry, known in zip(entries, read.tolist(), strict=True)]
    return json.dumps(listed, ensure_ascii=False)


def spread_evenly(table: pd.DataFrame, most: int = MOST_RESIDUES) -> pd.DataFrame:
    """Return the rows of a table of predictions whose residues are drawn and compared: with labels, or else all.

    Of more than `most` residues they are spread evenly over the table, which the log says.
    """
    if GROUND_TRUTH in table and (table[GROUND_TRUTH] != "").any():
        table = table[table[GROUND_TRUTH] != ""]
    # A list has a comma less than entries.
    residues = int(table["prob"].str.count(",").sum()) + len(table)
    if residues > most:
        chosen = np.unique(np.linspace(0, len(table) - 1, max(1, len(table) * most // residues)).astype(int))
        logger.warning(
            "of %d residues at most %d are drawn and compared, in %d of %d sequences, spread evenly. Tables have all.",
            residues, most, len(chosen), len(table),
        )  # fmt: skip
        table = table.iloc[chosen]
    return table.reset_index(drop=True)


def by_residue(table: pd.DataFrame, task_type: str, classes: Sequence[str], labels_of: LabelsOf) -> pd.DataFrame:
    """Return a table of predictions with a row for each residue that is predicted, with the cells of a whole sequence.

    labels_of: reads the cells of `ground_truth`. A cell without a label for each residue has none. The column `record`
    has the number of the row that a residue is of.
    """
    probabilities, labels, truths, counts = [], [], [], []
    compared = GROUND_TRUTH in table
    for number, (numbers, names) in enumerate(zip(table["prob"], table["label"], strict=True)):
        values = json.loads(numbers)
        known = [each for each, value in enumerate(values) if value is not None]
        counts.append(len(known))
        probabilities += [_cell(values[each]) for each in known]
        stated = json.loads(names)
        labels += [_cell(stated[each]) for each in known]
        if compared:
            truth = labels_of(table[GROUND_TRUTH].iloc[number])
            fits = truth is not None and len(truth) == len(values)
            truths += [_name(truth[each], task_type, classes) if fits and truth is not None else "" for each in known]
    columns = {"prob": probabilities, "label": labels, **({GROUND_TRUTH: truths} if compared else {})}
    return pd.DataFrame(columns, dtype=str).assign(record=np.repeat(np.arange(len(table)), counts))


def shortened_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of predictions with the beginnings of long lists, as a page shows them."""
    lists = [name for name in ("prob", "label", GROUND_TRUTH) if name in table]
    return table.assign(**{name: table[name].map(_beginning) for name in lists})


def _beginning(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."


def _cell(entry: Any) -> str:
    return str(entry)


def _name(value: np.ndarray, task_type: str, classes: Sequence[str]) -> str:
    """Return the cell of a label: a number, the name of a class, or a list of names; empty if there is none."""
    if np.isnan(value).any():
        return ""
    if task_type == "regression":
        return str(float(value))
    if task_type == "multi_label":
        return str([classes[each] for each in np.flatnonzero(value).tolist()])
    return classes[int(value)]
