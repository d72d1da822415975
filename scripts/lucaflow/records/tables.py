"""Which records, or pairs of records, are in a CSV or TSV file?"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from lucaflow.errors import InputError, quoted, shown
from lucaflow.records.columns import (
    MISSING,
    Chosen,
    choose_columns,
    index_of,
    is_header,
    is_row_of_names,
    looks_like_sequence,
    plain_name,
)
from lucaflow.records.further_columns import (
    RESERVED,
    FoundColumns,
    distinct_names,
    further_columns,
    holds_sequences,
    left_out,
)
from lucaflow.records.raw_records import PAIR_COLUMNS, Columns, RawRecord
from lucaflow.records.rows import Rows, check_first_row, read_rows, row_fault, sampled
from lucaflow.records.seq_types import SEQ_TYPES

logger = logging.getLogger(__name__)

_REPEATED_HEADER = "is another row of column names; remove it"
# Of a word for a missing value, with blanks; a longer cell is not compared with them.
_LONGEST_MISSING = 20
Note = Callable[[str], None]


def read_table(
    handle: io.TextIOWrapper,
    path: Path,
    delimiter: str,
    columns: Columns,
    note: Note,
    skipped: int = 0,
    found: FoundColumns | None = None,
) -> Iterator[RawRecord]:
    """Yield one record per row that is not blank.

    note: is called with what a user should know about the choice of columns; skipped: lines above the first row;
    found: takes the names of the further columns; without it, records have no further cells.
    """  # fmt: skip
    rows = read_rows(handle, path, delimiter, skipped)
    line, first = next(rows, (0, []))
    if not line:
        return
    check_first_row(path, line, first, delimiter)
    below, rows = sampled(rows)
    if columns.header is not False and lacks_first_name(first, below, delimiter):
        first = ["", *first]
        note("the row of names has one column less than the rows, as R writes it: the first column has row names")
    chosen = _chosen(path, line, first, below, delimiter, columns)
    for remark in chosen.notes:
        note(remark)
    if columns.header is not False:
        used = {"ids": chosen.id, "sequences": chosen.sequence, "labels": chosen.label}
        uses = (f"{purpose} from column {quoted(first[index])}" for purpose, index in used.items() if index is not None)
        logger.info("%s: %s", path, ", ".join(uses))
    width = len(first)
    if columns.header is False:
        rows, first = chain([(line, first)], rows), []
    further = _further(first, width, chosen, below, found, note) if found else []
    yield from _records(rows, first, width, delimiter, chosen, further, note)


def _further(
    header: list[str], width: int, chosen: Chosen, below: list[list[str]], found: FoundColumns, note: Note
) -> list[int]:
    """Return the indices of the further columns, and fill in their names: `column 3`, from 0, without a header."""
    header = [cell.strip() for cell in header]
    names = header or [f"column {index}" for index in range(width)]
    indices = further_columns(header, width, chosen)
    sequences = [index for index in indices if holds_sequences(names[index], index, below)]
    if sequences:
        note(left_out([names[index] for index in sequences]))
    indices = [index for index in indices if index not in sequences]
    found.names = distinct_names((names[index] for index in indices), RESERVED, "table")
    found.has_labels = chosen.label is not None
    return indices


def lacks_first_name(first: list[str], below: list[list[str]], delimiter: str) -> bool:
    """Return whether a row of names is one column too short: R leaves out the name of the column of row names."""
    is_short = delimiter == "\t" and bool(below) and all(len(row) == len(first) + 1 for row in below)
    return is_short and all(row[-1].strip() for row in below)


def _chosen(
    path: Path, line: int, first: list[str], below: list[list[str]], delimiter: str, columns: Columns
) -> Chosen:
    """Return the columns that are used. Raises InputError for columns that are not there, and without a header."""
    try:
        chosen = choose_columns(first, below, columns)
    except InputError as error:
        if columns.header is None and any(map(looks_like_sequence, first)):
            raise _looks_like_a_record(path, line, delimiter.join(first)) from None
        raise InputError(f"{path}, line {line}: {error}.") from None
    names = [row for row in below if is_row_of_names(row)]
    if columns.header is not False and names and not is_row_of_names(first):
        raise InputError(
            f"{path}, line {line}: {quoted(delimiter.join(first))} is above the row of column names, "
            f"{quoted(delimiter.join(names[0]))}. Remove the rows above that one."
        )
    if columns.header is None and not is_header(first, below, chosen.sequence, columns):
        raise _looks_like_a_record(path, line, delimiter.join(first))
    return chosen


def _records(
    rows: Rows, header: list[str], width: int, delimiter: str, chosen: Chosen, further: list[int], note: Note
) -> Iterator[RawRecord]:
    """Yield a record for each row. header: the row of names, or no cells; further: the indices of further columns."""
    id_index, sequence_index, label_index = chosen.id, chosen.sequence, chosen.label
    missing, first_missing = 0, ""
    longest_name = max(_LONGEST_MISSING, len(header[sequence_index]) if header else 0)
    last = max(id_index, sequence_index, label_index or 0)
    for line, row in rows:
        fault = row_fault(row, last, width, delimiter)
        text = "" if fault else row[sequence_index]
        if 0 < len(text) <= longest_name:
            if is_missing(text):
                first_missing = first_missing or f"{quoted(text.strip())} in line {line}"
                missing, text = missing + 1, ""
            elif header and (row == header or is_row_of_names((row[id_index], text))):
                fault = _REPEATED_HEADER
        if fault:
            yield RawRecord(line, row[id_index].strip() if id_index < len(row) else "", "", "", fault=fault)
            continue
        label = row[label_index].strip() if label_index is not None else ""
        if not further:
            yield RawRecord(line, row[id_index].strip(), "", text, label)
            continue
        others = [row[index].strip() if index < len(row) else "" for index in further]
        yield RawRecord(line, row[id_index].strip(), "", text, label, cells=others if any(others) else ())

    if missing:
        cells = f"{missing:,} cell{'s' * (missing != 1)} of sequences count{'s' * (missing == 1)} as empty"
        note(f"{cells}, because of a word for a missing value, such as {first_missing}")


def is_missing(cell: str) -> bool:
    """Return whether a cell of a sequence is exactly a word for a value that is missing, such as NA."""
    return cell.strip() in MISSING


def read_pairs(
    handle: io.TextIOWrapper, path: Path, delimiter: str, columns: Columns, note: Note, skipped: int = 0
) -> Iterator[RawRecord]:
    """Yield two records per row that is not blank: side a, then side b. note, skipped: as for a table."""
    rows = read_rows(handle, path, delimiter, skipped)
    line, first = next(rows, (0, []))
    if not line:
        return
    check_first_row(path, line, first, delimiter)
    names = _names_of_pairs(path, line, first, delimiter, columns)
    label_index = None
    if columns.label:
        remarks: list[str] = []
        label_index = index_of(columns.label, "labels", names, len(first), remarks)
        for remark in remarks:
            note(remark)
    last, width = max(label_index or 0, *(names.index(name) for name in PAIR_COLUMNS)), len(first)
    header = first
    if columns.header is False:
        rows, header = chain([(line, first)], rows), []
    for number, (line, row) in enumerate(rows, start=1):
        fault_of_row = row_fault(row, last, width, delimiter) or (_REPEATED_HEADER if row == header else "")
        for side in "ab":
            of_side = [f"{name}_{side}" for name in ("seq_id", "seq_type", "seq")]
            cells = ["", "", ""] if fault_of_row else [row[names.index(name)] for name in of_side]
            identifier, stated, text = cells[0].strip(), cells[1].strip(), cells[2]
            seq_type, fault = SEQ_TYPES.get(stated.lower(), ""), fault_of_row
            if not fault and not seq_type:
                fault = f"{of_side[1]} is {quoted(stated)}, expected gene or prot"
            label = row[label_index].strip() if label_index is not None and side == "a" and not fault_of_row else ""
            text = "" if is_missing(text[:_LONGEST_MISSING]) else text
            yield RawRecord(line, identifier, "", text, label, seq_type, str(number), side, fault)


def _names_of_pairs(path: Path, line: int, first: list[str], delimiter: str, columns: Columns) -> list[str]:
    """Return the names of the columns, with LucaOne's as LucaOne writes them. Raises InputError if one is missing."""
    if columns.header is False:
        return list(PAIR_COLUMNS)
    known = {plain_name(name): name for name in PAIR_COLUMNS}
    names = [known.get(plain_name(cell), cell.strip()) for cell in first]
    missing = [name for name in PAIR_COLUMNS if name not in names]
    is_record = any(looks_like_sequence(cell) or cell.strip().lower() in SEQ_TYPES for cell in first)
    if missing and columns.header is None and is_record:
        raise _looks_like_a_record(path, line, delimiter.join(first))
    if missing:
        raise InputError(
            f"{path}, line {line}: a file of pairs needs the columns {', '.join(PAIR_COLUMNS)}; missing: "
            f"{', '.join(missing)}. The file has: {shown(', '.join(names))}."
        )
    return names


def _looks_like_a_record(path: Path, line: int, row: str) -> InputError:
    return InputError(
        f"{path}, line {line}: {quoted(row)} looks like a record more than like column names. "
        "In the table of datasets, set `header` to `no` if it is a record, or to `yes` if it has the names."
    )
