"""What a map knows of its points: columns of texts or of numbers, by which points are coloured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lucaflow.records.table import numbers_of
from lucaflow.report.colours import LOOK_OF_NONE, LOOK_OF_OTHER, NONE, OTHER, Look, look_of
from lucaflow.report.figures import WIDE

# More labels share one group, `other`.
MOST_LABELS = 19
# A label is shown as a number if there are more different ones; fewer are rather names of groups.
MOST_NUMBERED_LABELS = 12
# Characters of a cell that are kept. A tooltip does not show more.
MOST_CHARACTERS = 300
# Cells of a table that are in memory at once.
_CELLS_AT_ONCE = 400_000


@dataclass(frozen=True)
class Group:
    """Points that look alike: their label, their look, and their numbers (n,)."""

    label: str
    look: Look
    points: np.ndarray


@dataclass(frozen=True)
class Texts:
    """A column of texts: its different texts, the most frequent first, and the number of each point's text (n,).

    The number is -1 for points without one.
    """

    name: str
    different: list[str]
    numbers: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """How many points have each of the different texts."""
        return np.bincount(self.numbers[self.numbers >= 0], minlength=len(self.different))

    def groups(self) -> list[Group]:
        """Return the groups in the order of a legend: the most frequent texts, then `other` and `(none)`."""
        numbers = np.where(self.numbers < 0, MOST_LABELS + 1, np.minimum(self.numbers, MOST_LABELS))
        labels = {number: (label, look_of(number)) for number, label in enumerate(self.different[:MOST_LABELS])}
        labels |= {MOST_LABELS: (OTHER, LOOK_OF_OTHER), MOST_LABELS + 1: (NONE, LOOK_OF_NONE)}
        found = [Group(*labels[number], np.flatnonzero(numbers == number)) for number in sorted(labels)]
        return [group for group in found if len(group.points)]


@dataclass(frozen=True)
class Numbers:
    """A column of numbers (n,), NaN for points without one."""

    name: str
    values: np.ndarray

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value. If they are equal, the second one is greater by 1."""
        low, high = float(np.nanmin(self.values)), float(np.nanmax(self.values))
        return low, high if high > low else low + 1

    @property
    def is_wide(self) -> bool:
        """Whether a logarithmic scale shows more."""
        low, high = self.bounds
        return low > 0 and high > WIDE * low


def texts_of(name: str, values: pd.Series) -> Texts:
    """Return a column of texts (n,), in which an empty one is none."""
    counts = values[values != ""].value_counts().rename_axis("text").reset_index(name="count")
    different = counts.sort_values(["count", "text"], ascending=[False, True])["text"].tolist()
    numbers = values.map({text: number for number, text in enumerate(different)}).fillna(-1)
    return Texts(name, different, numbers.to_numpy(np.int32))


def column_of(name: str, values: pd.Series, most_labels: int = 0) -> Texts | Numbers:
    """Return a column of texts (n,): of numbers, if more than `most_labels` differ and none is anything else."""
    numbers = numbers_of(values) if values[values != ""].nunique() > most_labels else None
    if numbers is None or numbers.isna().all():
        return texts_of(name, values)
    return Numbers(name, numbers.to_numpy())


def read_columns(path: Path, records: pd.Series) -> pd.DataFrame:
    """Return all columns of a table, as text, for records with the numbers `records` (n,), in their order.

    path: a table whose first column, `record`, ascends; records that are not in it get empty texts. It is read in
    parts, and texts are cut after MOST_CHARACTERS.
    """
    wanted = records.astype(int)
    header = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, nrows=0).columns
    parts = [part[part.index.isin(wanted)] for part in _parts_of(path, len(header))]
    found = pd.concat(parts) if parts else pd.DataFrame(columns=header[1:])
    long = found.apply(lambda column: column.str.len() > MOST_CHARACTERS) if len(found) else found.astype(bool)
    found = found.where(~long, found.apply(lambda column: column.str[: MOST_CHARACTERS - 1] + "…"))
    return found.reindex(wanted, fill_value="").set_axis(records.index)


def _parts_of(path: Path, columns: int) -> Iterator[pd.DataFrame]:
    at_once = max(1_000, _CELLS_AT_ONCE // columns)
    with pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, chunksize=at_once) as parts:
        for part in parts:
            yield part.set_index(part.iloc[:, 0].astype(int)).iloc[:, 1:]
