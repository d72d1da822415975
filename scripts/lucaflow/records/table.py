"""Which records were accepted, and with which labels?

Tables are read in parts, since they may not fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from pandas.io.parsers import TextFileReader

RECORDS_AT_ONCE = 500_000


def accepted_records(
    records: Path, columns: Sequence[str], labels: Path | None = None, at_once: int = RECORDS_AT_ONCE
) -> Iterator[pd.DataFrame]:
    """Yield columns of the accepted records, as text, in parts. The index is the position in embeddings.h5.

    labels: the table of labels, which adds a column `label` (NaN for a record without a label); at_once: number of
    records read at a time, accepted or not.

    >>> for part in accepted_records(Path("results/my_proteins/records.tsv"), ["id", "length"]):
    ...     print(part.to_dict("list"))
    {'id': ['P12345', 'sp|P2|X'], 'length': ['12', '8']}
    """
    wanted = [*dict.fromkeys([*columns, *(["record"] if labels else [])])]
    position = 0
    with ExitStack() as stack:
        parts = stack.enter_context(_in_parts(records, [*wanted, "status"], at_once))
        label_parts = stack.enter_context(_in_parts(labels, ["record", "label"], at_once)) if labels else None
        label_reader = _LabelReader(label_parts) if label_parts is not None else None
        for part in parts:
            accepted = part.loc[part["status"] == "accepted", wanted]
            accepted.index = pd.RangeIndex(position, position + len(accepted))
            position += len(accepted)
            if label_reader:
                accepted["label"] = label_reader.labels_of(accepted["record"])
            yield accepted[[*columns, *(["label"] if labels else [])]]


class _LabelReader:
    """Reads labels only as far as requested. Both tables are in the order of the records."""

    def __init__(self, parts: Iterator[pd.DataFrame]) -> None:
        self._parts = parts
        self._read = pd.Series(dtype=object)

    def labels_of(self, numbers: pd.Series) -> pd.Series:
        """Return the labels of records (n,), NaN for none. The records must come after those of earlier calls."""
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


def _in_parts(table: Path, columns: Sequence[str], at_once: int) -> TextFileReader:
    return pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False, usecols=[*columns], chunksize=at_once)
