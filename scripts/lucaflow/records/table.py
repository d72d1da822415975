"""records.tsv, read in parts: it may have more records than memory holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

RECORDS_AT_ONCE = 500_000


def accepted_records(
    records: Path, columns: Sequence[str], labels: Path | None = None, at_once: int = RECORDS_AT_ONCE
) -> Iterator[pd.DataFrame]:
    """Yield columns of the accepted records, as text, in parts. The index is the record's place in embeddings.h5.

    labels: the table of labels, which adds a column `label`, NaN for a record without one; at_once: records read at a
    time, accepted or not.

    >>> for part in accepted_records(Path("results/my_proteins/records.tsv"), ["id", "length"]):  # doctest: +SKIP
    ...     print(part["id"].iloc[0], part["length"].iloc[0])
    """
    label_of = _Labels(labels, at_once) if labels else None
    wanted = [*dict.fromkeys([*columns, *(["record"] if labels else [])])]
    place = 0
    for part in _in_parts(records, [*wanted, "status"], at_once):
        accepted = part.loc[part["status"] == "accepted", wanted]
        accepted.index = pd.RangeIndex(place, place + len(accepted))
        place += len(accepted)
        if label_of:
            accepted["label"] = label_of.records(accepted["record"])
        yield accepted[[*columns, *(["label"] if labels else [])]]


class _Labels:
    """Labels by record, read as far as they are asked for: both tables are in the order of the records."""

    def __init__(self, labels: Path, at_once: int) -> None:
        self._parts = _in_parts(labels, ["record", "label"], at_once)
        self._read = pd.Series(dtype=object)

    def records(self, numbers: pd.Series) -> pd.Series:
        """Return the labels of records (n,), which come after those asked for before; NaN where there is none."""
        if numbers.empty:
            return pd.Series(dtype=object)
        last = int(numbers.iloc[-1])
        while not len(self._read) or int(self._read.index[-1]) < last:
            part = next(self._parts, None)
            if part is None:
                break
            self._read = pd.concat([self._read, part.set_index("record")["label"]])
        found = numbers.map(self._read)
        self._read = self._read[self._read.index.astype(int) > last]
        return found.astype(object)


def _in_parts(table: Path, columns: Sequence[str], at_once: int) -> Iterator[pd.DataFrame]:
    return pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False, usecols=[*columns], chunksize=at_once)
