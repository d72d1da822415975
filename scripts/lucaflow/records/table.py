"""Which records were accepted, and with which labels?

Tables are read in parts, since they may not fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.parsers import TextFileReader

from lucaflow.records.columns import MISSING

RECORDS_AT_ONCE = 500_000
FURTHER_AT_ONCE = 50_000
# Names, not numbers: such as 007, the well 1E5, or an integer with more digits than a float64 keeps.
_NAME_LIKE = r"[+-]?0[0-9].*|[0-9]+E[0-9]+|[+-]?[0-9]{16,}"


def accepted_records(
    records: Path,
    columns: Sequence[str],
    labels: Path | None = None,
    at_once: int = RECORDS_AT_ONCE,
    further: Path | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield columns of the accepted records, as text, in parts. The index is the position in embeddings.h5.

    labels: the table of labels, which adds a column `label` (NaN for a record without a label); further: the table of
    further columns, which adds them all (NaN for a record without any); at_once: number of records read at a time,
    accepted or not.

    >>> for part in accepted_records(Path("results/my_proteins/records.tsv"), ["id", "length"]):
    ...     print(part.to_dict("list"))
    {'id': ['P12345', 'sp|P2|X'], 'length': ['12', '8']}
    """
    others = [table for table in (labels, further) if table]
    # Further columns may be many, and long.
    at_once = min(at_once, FURTHER_AT_ONCE) if further else at_once
    wanted = [*dict.fromkeys([*columns, *(["record"] if others else [])])]
    position = 0
    with ExitStack() as stack:
        parts = stack.enter_context(_in_parts(records, [*wanted, "status"], at_once))
        readers = [_NumberedReader(stack.enter_context(_in_parts(table, None, at_once))) for table in others]
        for part in parts:
            accepted = part.loc[part["status"] == "accepted", wanted]
            accepted.index = pd.RangeIndex(position, position + len(accepted))
            position += len(accepted)
            found = [reader.rows_of(accepted["record"]) for reader in readers]
            yield pd.concat([accepted[[*columns]], *found], axis=1)


class _NumberedReader:
    """Reads a table with numbers of records only as far as requested; it is in the order of the records."""

    def __init__(self, parts: TextFileReader) -> None:
        self._parts = iter(parts)
        # A table without rows has one part, which is empty.
        self._read = self._numbered(next(self._parts))

    def _numbered(self, part: pd.DataFrame) -> pd.DataFrame:
        return part.set_index(part.pop("record").astype(int))

    def rows_of(self, numbers: pd.Series) -> pd.DataFrame:
        """Return the rows of records (n,), NaN for none. The records must come after those of earlier calls."""
        wanted = numbers.astype(int)
        last = wanted.iloc[-1] if len(wanted) else -1
        while not len(self._read) or self._read.index[-1] < last:
            part = next(self._parts, None)
            if part is None:
                break
            self._read = pd.concat([self._read, self._numbered(part)])
        found = self._read.reindex(wanted).set_axis(numbers.index)
        self._read = self._read[self._read.index > last]
        return found


def numbers_of(texts: pd.Series) -> pd.Series | None:
    """Return a column of texts (n,) as numbers, NaN for a missing value; None if one is neither number nor missing.

    Texts such as 007, 1E5 or 9007199254740993 are names.
    """
    given = texts[texts.notna() & ~texts.isin(["", *MISSING])]
    if given.str.fullmatch(_NAME_LIKE).any():
        return None
    numbers = pd.to_numeric(given, errors="coerce").astype(float)
    return numbers.reindex(texts.index) if np.isfinite(numbers).all() else None


def columns_of_numbers(further: Path, at_once: int = FURTHER_AT_ONCE) -> dict[str, bool]:
    """Return for each further column whether it holds numbers: at least one, and nothing else but missing values."""
    holds: dict[str, bool] = {}
    are_numbers: dict[str, bool] = {}
    with _in_parts(further, None, at_once) as parts:
        for part in parts:
            for name in part.columns[1:]:
                numbers = numbers_of(part[name])
                are_numbers[name] = are_numbers.get(name, True) and numbers is not None
                holds[name] = holds.get(name, False) or (numbers is not None and bool(numbers.notna().any()))
    return {name: are_numbers[name] and holds[name] for name in holds}


def _in_parts(table: Path, columns: Sequence[str] | None, at_once: int) -> TextFileReader:
    return pd.read_csv(
        table, sep="\t", dtype=str, keep_default_na=False, usecols=[*columns] if columns else None, chunksize=at_once
    )
