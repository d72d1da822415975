"""Which rows are in a CSV or TSV file, and is each of them one row?"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from lucaflow.errors import InputError
from lucaflow.records.raw_records import LONGEST_RECORD, MOST_COLUMNS

_TOO_LONG_ROW = f"a row of more than {LONGEST_RECORD:,} characters or {MOST_COLUMNS:,} columns; divide it, or remove it"
_SWALLOWED = (
    "quotation marks around several rows; remove them, double those inside a cell, or write the cell on one line"
)

# Rows and characters that are looked at before the first record is read.
_ROWS_OF_SAMPLE = 20
_CHARACTERS_OF_SAMPLE = 1_000_000

Rows = Iterator[tuple[int, list[str]]]


def read_rows(handle: io.TextIOWrapper, path: Path, delimiter: str, skipped: int = 0) -> Rows:
    """Yield the first line and the cells of each row that is not blank; of a row that is too long, no cells.

    skipped: lines above the first row.
    """
    for _ in range(skipped):
        handle.readline(LONGEST_RECORD)
    csv.field_size_limit(sys.maxsize)
    lines = _LinesOfRow(handle, delimiter)
    rows = csv.reader(lines.read(), delimiter=delimiter, strict=True)
    start = skipped + 1
    try:
        for row in rows:
            if lines.too_long or any(cell.strip() for cell in row):
                yield start, row
            start = skipped + rows.line_num + 1
            lines.begin_row()
    except csv.Error as error:
        raise InputError(
            f"{path}, line {start}: the row that starts here cannot be read ({error}). A quotation mark that opens a "
            "cell must be closed; inside a quoted cell it is written twice."
        ) from error


def sampled(rows: Rows) -> tuple[list[list[str]], Rows]:
    """Return some of the next rows, without those that are too long, and all rows again."""
    taken, characters = [], 0
    for numbered in islice(rows, _ROWS_OF_SAMPLE):
        taken.append(numbered)
        characters += sum(map(len, numbered[1]))
        if characters > _CHARACTERS_OF_SAMPLE:
            break
    return [row for _, row in taken if row], chain(taken, rows)


class _LinesOfRow:
    """Gives csv the lines of a row while it is not too long.

    too_long: whether the row is a single line that is too long. For this line csv gets a blank one.
    """

    def __init__(self, handle: io.TextIOWrapper, delimiter: str) -> None:
        self._handle = handle
        self._delimiter = delimiter
        self.begin_row()

    def begin_row(self) -> None:
        self.too_long = False
        self._characters = 0

    def read(self) -> Iterator[str]:
        """Yield the lines of all rows. Raises csv.Error for a row of several lines that is too long."""
        while line := self._handle.readline(LONGEST_RECORD):
            is_first = not self._characters
            self._characters += len(line)
            if self._characters < LONGEST_RECORD and line.count(self._delimiter) < MOST_COLUMNS:
                yield line
                continue
            if not is_first:
                raise csv.Error(_TOO_LONG_ROW)
            self.too_long = True
            while line and not line.endswith("\n"):
                line = self._handle.readline(LONGEST_RECORD)
            yield "\n"


def row_fault(row: list[str], last: int, width: int, delimiter: str) -> str:
    """Return why a row is not one record in the columns of the first row, or an empty string."""
    if not row:
        return _TOO_LONG_ROW
    if last >= len(row):
        return f"{len(row)} column{'s' * (len(row) != 1)}, expected at least {last + 1}; complete the row or remove it"
    if len(row) > width and any(cell.strip() for cell in row[width:]):
        return f"{len(row)} columns, expected {width}; put a cell that holds {delimiter!r} into quotation marks"
    # A loop, since it is faster than any().
    for cell in row:
        if "\n" in cell and _holds_rows(cell, width, delimiter):
            return _SWALLOWED
    return ""


def _holds_rows(cell: str, width: int, delimiter: str) -> bool:
    """Return whether a cell with line feeds is the end of one row and the beginning of a later one.

    If so, it has as many delimiters as rows of `width` columns, or more. In a TSV file no cell should have a tab.
    """
    return cell.count(delimiter) >= (1 if delimiter == "\t" else cell.count("\n") * (width - 1))


def check_first_row(path: Path, line: int, row: list[str], delimiter: str) -> None:
    """Raise InputError if the first row is too long, or has taken in later rows."""
    if fault := row_fault(row, -1, len(row), delimiter):
        raise InputError(f"{path}, line {line}: {fault}.")
