"""Which records, or pairs of records, are in a CSV or TSV file?"""

from __future__ import annotations

import csv
import io
import logging
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from lucaflow.errors import InputError, quoted, shown
from lucaflow.records import raw_records
from lucaflow.records.raw_records import PAIR_COLUMNS, Columns, RawRecord

logger = logging.getLogger(__name__)

_TOO_LONG_ROW = (
    f"a row of more than {raw_records.LONGEST_RECORD:,} characters or {raw_records.MOST_COLUMNS:,} columns; divide it, "
    "or remove it"
)
_SWALLOWED = (
    "quotation marks around several rows; remove them, double those inside a cell, or write the cell on one line"
)
# Longer than the name of a column, or only nucleotides.
_SEQUENCE_LIKE = re.compile(r"[A-Za-z*-]{20,}|(?!.*SEQ)[A-Z*-]{10,}|[ACGTUN]{6,}|[acgtun]{6,}")


def read_table(handle: io.TextIOWrapper, path: Path, delimiter: str, columns: Columns) -> Iterator[RawRecord]:
    """Yield one record per row that is not blank."""
    rows = _rows(handle, path, delimiter)
    line, row = next(rows, (0, []))
    if not line:
        return
    _check_first_row(path, line, row, delimiter)
    id_index, sequence_index, label_index = _column_indices(row, columns, path)
    if columns.header is None and _SEQUENCE_LIKE.fullmatch(row[sequence_index].strip()):
        raise _looks_like_a_record(path, line, delimiter.join(row))
    last, width = max(id_index, sequence_index, label_index or 0), len(row)
    if columns.header is False:
        rows = chain([(line, row)], rows)
    else:
        used = [("ids", id_index), ("sequences", sequence_index), ("labels", label_index)]
        uses = (f"{purpose} from column {quoted(row[index])}" for purpose, index in used if index is not None)
        logger.info("%s: %s", path, ", ".join(uses))
    for line, row in rows:
        fault = _row_fault(row, last, width, delimiter)
        if fault:
            yield RawRecord(line, row[id_index].strip() if id_index < len(row) else "", "", "", fault=fault)
        else:
            label = row[label_index].strip() if label_index is not None else ""
            yield RawRecord(line, row[id_index].strip(), "", row[sequence_index], label)


def read_pairs(handle: io.TextIOWrapper, path: Path, delimiter: str, columns: Columns) -> Iterator[RawRecord]:
    """Yield two records per row that is not blank: side a, then side b."""
    rows = _rows(handle, path, delimiter)
    line, row = next(rows, (0, []))
    if not line:
        return
    _check_first_row(path, line, row, delimiter)
    names = list(PAIR_COLUMNS) if columns.header is False else [cell.strip() for cell in row]
    missing = [name for name in PAIR_COLUMNS if name not in names]
    if missing and columns.header is None and any(_SEQUENCE_LIKE.fullmatch(cell.strip()) for cell in row):
        raise _looks_like_a_record(path, line, delimiter.join(row))
    if missing:
        raise InputError(
            f"{path}, line {line}: a file of pairs needs the columns {', '.join(PAIR_COLUMNS)}; missing: "
            f"{', '.join(missing)}. The file has: {shown(', '.join(names))}."
        )
    label_index = _index_of(columns.label, "labels", names, len(row), path) if columns.label else None
    last, width = max(label_index or 0, *(names.index(name) for name in PAIR_COLUMNS)), len(row)
    if columns.header is False:
        rows = chain([(line, row)], rows)
    for number, (line, row) in enumerate(rows, start=1):
        fault_of_row = _row_fault(row, last, width, delimiter)
        for side in "ab":
            of_side = [f"{name}_{side}" for name in ("seq_id", "seq_type", "seq")]
            cells = ["", "", ""] if fault_of_row else [row[names.index(name)] for name in of_side]
            identifier, seq_type, text = cells[0].strip(), cells[1].strip(), cells[2]
            fault = fault_of_row
            if not fault and seq_type not in ("gene", "prot"):
                fault, seq_type = f"{of_side[1]} is {quoted(seq_type)}, expected gene or prot", ""
            label = row[label_index].strip() if label_index is not None and side == "a" and not fault_of_row else ""
            yield RawRecord(line, identifier, "", text, label, seq_type, str(number), side, fault)


def _row_fault(row: list[str], last: int, width: int, delimiter: str) -> str:
    """Return why a row is not one record in the columns of the first row, or an empty string."""
    if not row:
        return _TOO_LONG_ROW
    if last >= len(row):
        return f"{len(row)} column{'s' * (len(row) != 1)}, expected at least {last + 1}; complete the row or remove it"
    if len(row) > width and any(cell.strip() for cell in row[width:]):
        return f"{len(row)} columns, expected {width}; put a cell that holds {delimiter!r} into quotation marks"
    return _SWALLOWED if any("\n" in cell and _holds_rows(cell, width, delimiter) for cell in row) else ""


def _holds_rows(cell: str, width: int, delimiter: str) -> bool:
    """Return whether a cell with line feeds is the end of one row and the beginning of a later one.

    If so, it has as many delimiters as rows of `width` columns, or more. In a TSV file no cell should have a tab.
    """
    return cell.count(delimiter) >= (1 if delimiter == "\t" else cell.count("\n") * (width - 1))


def _check_first_row(path: Path, line: int, row: list[str], delimiter: str) -> None:
    """Raise InputError if the first row is too long, or has taken in later rows."""
    if fault := _row_fault(row, -1, len(row), delimiter):
        raise InputError(f"{path}, line {line}: {fault}.")


def _looks_like_a_record(path: Path, line: int, row: str) -> InputError:
    return InputError(
        f"{path}, line {line}: {quoted(row)} looks like a record, not like column names. "
        "Set header to `yes` or `no` in the table of datasets."
    )


def _rows(handle: io.TextIOWrapper, path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the cells of each row that is not blank; of a row that is too long, no cells."""
    csv.field_size_limit(sys.maxsize)
    lines = _LinesOfRow(handle, delimiter)
    rows = csv.reader(lines.read(), delimiter=delimiter, strict=True)
    start = 1
    try:
        for row in rows:
            if lines.too_long or any(cell.strip() for cell in row):
                yield start, row
            start = rows.line_num + 1
            lines.begin_row()
    except csv.Error as error:
        raise InputError(
            f"{path}, line {start}: the row that starts here cannot be read ({error}). A quotation mark that opens a "
            "cell must be closed; inside a quoted cell it is written twice."
        ) from error


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
        while line := self._handle.readline(raw_records.LONGEST_RECORD):
            is_first = not self._characters
            self._characters += len(line)
            if self._characters < raw_records.LONGEST_RECORD and line.count(self._delimiter) < raw_records.MOST_COLUMNS:
                yield line
                continue
            if not is_first:
                raise csv.Error(_TOO_LONG_ROW)
            self.too_long = True
            while line and not line.endswith("\n"):
                line = self._handle.readline(raw_records.LONGEST_RECORD)
            yield "\n"


def _column_indices(row: list[str], columns: Columns, path: Path) -> tuple[int, int, int | None]:
    """Return the indices of the id, sequence and label columns, given the first row."""
    names = [] if columns.header is False else [cell.strip() for cell in row]
    default = "2" if len(row) >= 3 else "1"
    return (
        _index_of(columns.id or "0", "ids", names, len(row), path),
        _index_of(columns.sequence or default, "sequences", names, len(row), path),
        _index_of(columns.label, "labels", names, len(row), path) if columns.label else None,
    )


def _index_of(name: str, purpose: str, names: list[str], width: int, path: Path) -> int:
    """Return the index of a column that is given by name, or else by number. Raises InputError if there is none."""
    if name in names:
        return names.index(name)
    if name.lstrip("-").isdecimal() and -width <= int(name) < width:
        return int(name) % width
    there = ", ".join(names) if names else f"{width} columns without names, numbered from 0"
    raise InputError(f"{path}: no column {quoted(name)} for the {purpose}. The file has: {shown(there)}.")
