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
        with open_text(path) as handle:
            first = next((line for line in handle if line.strip()), "")
        delimiter = _delimiter(path, first)
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
    with open_text(path) as handle:
        return _delimiter(path, next((line for line in handle if line.strip()), "")) is None


def _delimiter(path: Path, first_line: str) -> str | None:
    """Return the delimiter of a table, or None for FASTA."""
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
    number = 0
    for number, line in enumerate(handle, start=1):
        if line.startswith(">"):
            pending = [line[1:].rstrip("\n")]
            break
        if line.strip() and not line.startswith(";"):
            raise InputError(
                f"{path}, line {number}: {quoted(line.rstrip())} is before the first header line ('>'). "
                "Remove the line, or add a header above it."
            )
    else:
        return
    while block := handle.read(_BLOCK_CHARACTERS):
        # Blocks end with a whole line, so a header starts after a line feed or at the beginning of a block.
        first, *others = f"\n{block}{handle.readline()}".removesuffix("\n").split("\n>")
        pending.append(first)
        for text in others:
            record = "".join(pending)
            yield _fasta_record(number, record)
            number += record.count("\n") + 1
            pending = [text]
    yield _fasta_record(number, "".join(pending))


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
    if not row:
        return
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
    if not row:
        return
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
    if last >= len(row):
        return f"{len(row)} column{'s' * (len(row) != 1)}, expected at least {last + 1}; complete the row or remove it"
    if len(row) > width and any(cell.strip() for cell in row[width:]):
        return f"{len(row)} columns, expected {width}; put a cell that holds {delimiter!r} into quotation marks"
    if delimiter == "\t" and any("\n" in cell and "\t" in cell for cell in row):
        return "quotation marks around several rows of a TSV file; remove them, or double those inside a cell"
    return ""


def _looks_like_a_record(path: Path, line: int, row: str) -> InputError:
    return InputError(
        f"{path}, line {line}: {quoted(row)} looks like a record, not like column names. "
        "Set header to `yes` or `no` in the table of datasets."
    )


def _rows(handle: io.TextIOWrapper, path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the cells of each row that is not blank."""
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader(handle, delimiter=delimiter, strict=True)
    start = 1
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield start, row
            start = rows.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}, line {start}: the row that starts here cannot be read ({error}). A quotation mark that opens a "
            "cell must be closed; inside a quoted cell it is written twice."
        ) from error


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
