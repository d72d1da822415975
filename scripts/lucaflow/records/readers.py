"""Which records are in a FASTA, CSV or TSV file, plain or compressed?

The format is recognised by content. Sequences are returned as they are in the file; `lucaflow.records.outcomes`
normalises them.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import logging
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from lucaflow.errors import InputError, quoted, shown
from lucaflow.files.usable import why_unusable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

logger = logging.getLogger(__name__)

_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": zstd.ZstdFile,
}
_BLOCK_CHARACTERS = 1 << 16
# Characters and columns of a record; docs/inputs.md gives the reason.
LONGEST_RECORD = 300_000_000
MOST_COLUMNS = 1_000_000
_TOO_LONG = f"longer than {LONGEST_RECORD:,} characters, the most that a record may have; divide it, or remove it"
_TOO_LONG_ROW = f"a row of more than {LONGEST_RECORD:,} characters or {MOST_COLUMNS:,} columns; divide it, or remove it"
_SWALLOWED = (
    "quotation marks around several rows; remove them, double those inside a cell, or write the cell on one line"
)
# Characters that are kept of a record that is too long, for its id.
_KEPT_CHARACTERS = 1000
# Longer than the name of a column, or only nucleotides.
_SEQUENCE_LIKE = re.compile(r"[A-Za-z*-]{20,}|(?!.*SEQ)[A-Z*-]{10,}|[ACGTUN]{6,}|[acgtun]{6,}")
_COMMENT = re.compile("^;.*$", re.MULTILINE)
_SUFFIXES = {".gz", ".bz2", ".xz", ".zst"}
# LucaOne's columns for a file of pairs.
PAIR_COLUMNS = ("seq_id_a", "seq_id_b", "seq_type_a", "seq_type_b", "seq_a", "seq_b")


class RawRecord(NamedTuple):
    """One record as read, or one side of a pair.

    text: the lines of the sequence below `line`, with line feeds between them; seq_type: if the file states it;
    fault: why the record could not be read correctly.
    """

    line: int
    id: str
    description: str
    text: str
    label: str = ""
    seq_type: str = ""
    pair: str = ""
    side: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Columns:
    """The columns of ids, sequences and labels: a name, or a 0-based index; None for the default.

    header: whether the first row has names; None if the user did not say: yes, but a row that looks like a record is
    refused. pairs: whether each row has two sequences, in LucaOne's columns.
    """

    header: bool | None = None
    id: str | None = None
    sequence: str | None = None
    label: str | None = None
    pairs: bool = False


def read_records(path: Path, columns: Columns) -> Iterator[RawRecord]:
    """Yield the records of a file in order. Raises InputError for a file that cannot be read, or in no known format."""
    if reason := why_unusable(path):
        raise InputError(
            f"{shown(path)}: {reason}. Correct the path in the table of datasets, or make the file readable."
        )
    try:
        delimiter = _delimiter(path)
        if delimiter is None and not (columns.id in (None, "0") and columns.sequence in (None, "1")):
            raise InputError(
                f"{path}: FASTA has an id (0) and a sequence (1), but no named columns. "
                "Leave id_column and seq_column empty."
            )
        if delimiter is None and columns.pairs:
            raise InputError(f"{path}: FASTA cannot hold pairs. Expected CSV or TSV with {', '.join(PAIR_COLUMNS)}.")
        if delimiter is None and columns.label:
            raise InputError(
                f"{path}: FASTA has no column {quoted(columns.label)} for the labels. Use CSV or TSV for labels."
            )
        with open_text(path) as handle:
            if delimiter is None:
                yield from _read_fasta(handle, path)
            elif columns.pairs:
                yield from _read_pairs(handle, path, delimiter, columns)
            else:
                yield from _read_table(handle, path, delimiter, columns)
    except UnicodeDecodeError as error:
        but = " but UTF-16" if error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ""
        raise InputError(f"{path}: not UTF-8 text{but} ({error}). Save it as UTF-8 and run again.") from error
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstd.ZstdError, EOFError) as error:
        raise InputError(f"{path}: the compressed file is damaged or cut short ({error}). Copy it again.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error


def open_text(path: Path) -> io.TextIOWrapper:
    """Open a file as UTF-8 text with universal newlines. It is unpacked if its first bytes show that it is packed."""
    with path.open("rb") as handle:
        magic = handle.read(6)
    opener = next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), None)
    return io.TextIOWrapper(opener(path) if opener else path.open("rb"), encoding="utf-8-sig")


def is_fasta(path: Path) -> bool:
    """Return whether a file is read as FASTA. Raises InputError for a file in no known format."""
    return _delimiter(path) is None


def _delimiter(path: Path) -> str | None:
    """Return the delimiter of a table, or None for FASTA."""
    with open_text(path) as handle:
        lines = iter(lambda: handle.readline(LONGEST_RECORD), "")
        first_line = next((line for line in lines if line.strip()), "")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _SUFFIXES]
    named = suffixes[-1] if suffixes else ""
    delimiter = next((character for character in "\t," if character in first_line), None)
    if first_line.startswith((">", ";")) and (delimiter is None or named not in (".csv", ".tsv")):
        return None
    if delimiter:
        return delimiter
    if not first_line:
        raise InputError(f"{path}: the file holds no records. Correct the path, or remove the dataset from the table.")
    raise InputError(
        f"{path}: neither FASTA nor a table. Expected a first line that starts with '>', or one with columns "
        f"separated by commas or tabs; found {quoted(first_line.strip())}."
    )


def _read_fasta(handle: io.TextIOWrapper, path: Path) -> Iterator[RawRecord]:
    """Yield one record per header line; lines that start with `;` are comments. Reads in blocks, to be fast."""
    number, start = _first_header(handle, path)
    if not number:
        return
    record = _GrowingRecord(number, start.removesuffix("\n"))
    # The line feed at the end of a block is held back: the next block may start with a header.
    held = "\n" if start.endswith("\n") else ""
    while block := handle.read(_BLOCK_CHARACTERS):
        text = held + block
        held = "\n" if text.endswith("\n") else ""
        first, *others = text.removesuffix("\n").split("\n>")
        record.add(first)
        for other in others:
            yield record.finished()
            record = _GrowingRecord(record.line + record.line_feeds + 1, other)
    yield record.finished()


def _first_header(handle: io.TextIOWrapper, path: Path) -> tuple[int, str]:
    """Return the number of the first header line, and its text or the beginning of it; 0 if there is none."""
    for number, line in enumerate(iter(lambda: handle.readline(LONGEST_RECORD), ""), start=1):
        if line.startswith(">"):
            return number, line[1:]
        if len(line) == LONGEST_RECORD:
            raise InputError(f"{path}, line {number}: a line before the first header line ('>') is {_TOO_LONG}.")
        if line.strip() and not line.startswith(";"):
            raise InputError(
                f"{path}, line {number}: {quoted(line.rstrip())} is before the first header line ('>'). "
                "Remove the line, or add a header above it."
            )
    return 0, ""


class _GrowingRecord:
    """A record of a FASTA file, part by part. Of one that is too long only the beginning is kept.

    line: the number of its header line; line_feeds: in the parts, once the record is finished.
    """

    def __init__(self, line: int, part: str) -> None:
        self.line = line
        self.line_feeds = 0
        self._size = 0
        self._parts: list[str] = []
        self._beginning = ""
        self.add(part)

    def add(self, part: str) -> None:
        self._size += len(part)
        self._parts.append(part)
        if self._size > LONGEST_RECORD:
            text = self._joined()
            self._beginning = self._beginning or text[:_KEPT_CHARACTERS]

    def finished(self) -> RawRecord:
        """Return the record; of one that is too long, only its id and its fault."""
        text = self._joined()
        if self._beginning:
            return _fasta_record(self.line, self._beginning)._replace(description="", text="", fault=_TOO_LONG)
        return _fasta_record(self.line, text)

    def _joined(self) -> str:
        text = "".join(self._parts)
        self._parts = []
        self.line_feeds += text.count("\n")
        return text


def _fasta_record(line: int, text: str) -> RawRecord:
    """Return a record. Its id is the first word of the title, the rest is its description."""
    title, _, residues = text.partition("\n")
    words = title.split(maxsplit=1)
    if ";" in residues:
        residues = _COMMENT.sub("", residues)
    return RawRecord(line, words[0] if words else "", words[1] if len(words) > 1 else "", residues)


def _read_table(handle: io.TextIOWrapper, path: Path, delimiter: str, columns: Columns) -> Iterator[RawRecord]:
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


def _read_pairs(handle: io.TextIOWrapper, path: Path, delimiter: str, columns: Columns) -> Iterator[RawRecord]:
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
