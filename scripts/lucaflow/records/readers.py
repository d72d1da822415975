"""Which records are in a FASTA, PIR, CSV or TSV file, plain or compressed?

The format is recognised by content. Sequences are returned as they are in the file; `lucaflow.records.outcomes`
normalises them.
"""

from __future__ import annotations

import gzip
import logging
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from lucaflow.errors import InputError, quoted, shown
from lucaflow.files.usable import why_unusable
from lucaflow.records.columns import plain_name
from lucaflow.records.fasta import read_fasta, read_pir
from lucaflow.records.further_columns import FoundColumns
from lucaflow.records.layouts import Layout, layout_of
from lucaflow.records.opening import open_bytes, open_text, refuse_foreign, zstd
from lucaflow.records.raw_records import LONGEST_RECORD, PAIR_COLUMNS, Columns, RawRecord
from lucaflow.records.rows import Rows, check_first_row, read_rows, row_fault, sampled
from lucaflow.records.tables import Note, lacks_first_name, read_pairs, read_table
from lucaflow.records.task_folders import is_task_folder, read_folder

__all__ = ["PAIR_COLUMNS", "Columns", "RawRecord", "is_fasta", "open_text", "read_records", "zstd"]

logger = logging.getLogger(__name__)


def read_records(
    path: Path, columns: Columns, note: Note = logger.info, found: FoundColumns | None = None
) -> Iterator[RawRecord]:
    """Yield the records of a file, or of a folder of LucaOneTasks, in order.

    note: is called with what a user should know about how the file is read, such as which columns were taken; found:
    takes the names of a table's further columns, whose cells the records then have.
    Raises InputError for a file that cannot be read, or in no known format.
    """
    if is_task_folder(path):
        with _readable(path):
            yield from read_folder(path, columns, note, found, partial(_read_file, note=note))
    else:
        yield from _read_file(path, columns, found, note)


def _read_file(path: Path, columns: Columns, found: FoundColumns | None, note: Note) -> Iterator[RawRecord]:
    """Yield the records of one file in order."""
    _require_usable(path)
    with _readable(path):
        layout = layout_of(path, columns)
        if layout.delimiter is None:
            _refuse_columns_of_fasta(path, columns)
        for remark in layout.notes:
            note(remark)
        with open_text(path) as handle:
            if layout.delimiter is None:
                yield from (read_pir if layout.is_pir else read_fasta)(handle, path)
            else:
                at = (handle, path, layout.delimiter, columns, note, layout.skipped)
                yield from read_pairs(*at) if columns.pairs else read_table(*at, found)


def rows_of_table(path: Path, note: Note = logger.info) -> Rows:
    """Yield line and cells of the header of a CSV or TSV file, then of each row. Cells that are missing are empty.

    note: as for `read_records`. Raises InputError for a file that cannot be read or is no table, and for a row with
    other columns.
    """
    for line, row, fault in rows_and_faults(path, note):
        if fault:
            raise InputError(f"{path}, line {line}: {fault}.")
        yield line, row


def rows_and_faults(path: Path, note: Note = logger.info, only: str = "") -> Iterator[tuple[int, list[str], str]]:
    """As `rows_of_table`, but yield what is wrong with a row of other columns, or an empty text, in place of raising.

    The cells of such a row are as many as those of the header. only: the name of the column if a file may have a
    single one.
    """
    _require_usable(path)
    with _readable(path):
        layout = Layout(",") if only and _has_one_column(path, only) else layout_of(path, Columns())
        if layout.delimiter is None:
            raise InputError(f"{path}: this is FASTA. Expected a CSV or TSV file with a header line.")
        for remark in layout.notes:
            note(remark)
        with open_text(path) as handle:
            rows = read_rows(handle, path, layout.delimiter, layout.skipped)
            line, header = next(rows, (0, []))
            if not line:
                raise InputError(f"{path}: it has no row with a cell. Correct the path, or fill in the table.")
            check_first_row(path, line, header, layout.delimiter)
            below, rows = sampled(rows)
            if lacks_first_name(header, below, layout.delimiter):
                header = ["", *header]
            width = len(header)
            yield line, header, ""
            for line, row in rows:
                # A cell in quotation marks may have several lines.
                fault = row_fault([cell.replace("\n", " ") for cell in row], 0, width, layout.delimiter)
                yield line, (row + [""] * (width - len(row)))[:width], fault


def _has_one_column(path: Path, name: str) -> bool:
    """Return whether the first line of a file is the name of a column and nothing else."""
    refuse_foreign(path)
    with open_text(path) as handle:
        return plain_name(handle.readline(LONGEST_RECORD).strip()) == plain_name(name)


def _require_usable(path: Path) -> None:
    if reason := why_unusable(path):
        raise InputError(
            f"{shown(path)}: {reason}. Correct the path in the table of datasets, or make the file readable."
        )


def is_fasta(path: Path) -> bool:
    """Return whether a file is read as FASTA or PIR. Raises InputError for a file that cannot be read so far."""
    if is_task_folder(path):
        return False
    with _readable(path):
        return layout_of(path, Columns()).delimiter is None


def is_plain_fasta(path: Path) -> bool:
    """Return whether a file is FASTA, and neither PIR nor a table. Raises InputError as `is_fasta`."""
    if is_task_folder(path):
        return False
    with _readable(path):
        layout = layout_of(path, Columns())
        return layout.delimiter is None and not layout.is_pir


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise InputError that says what is wrong with a file, in place of the error of a library."""
    try:
        yield
    except UnicodeDecodeError as error:
        # It is read again, and may turn out to be damaged further down.
        with _readable(path):
            raise _not_utf8(path, error) from error
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstd.ZstdError, EOFError) as error:
        raise InputError(f"{path}: the compressed file is damaged or cut short ({error}). Copy it again.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error


def _refuse_columns_of_fasta(path: Path, columns: Columns) -> None:
    """Raise InputError if columns or pairs were asked of a file that has none."""
    if not (columns.id in (None, "0") and columns.sequence in (None, "1")):
        raise InputError(
            f"{path}: FASTA has an id (0) and a sequence (1), but no named columns. "
            "Leave id_column and seq_column empty."
        )
    if columns.pairs:
        raise InputError(f"{path}: FASTA cannot hold pairs. Expected CSV or TSV with {', '.join(PAIR_COLUMNS)}.")
    if columns.label and not columns.label_optional:
        raise InputError(
            f"{path}: FASTA has no column {quoted(columns.label)} for the labels. Name a CSV or TSV "
            "file that has it in `metadata`."
        )


def _not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    """Return the error for a file whose text is not UTF-8, with the first line that is not."""
    place = ""
    with open_bytes(path) as handle:
        for number, line in enumerate(iter(lambda: handle.readline(LONGEST_RECORD), b""), start=1):
            try:
                line.decode()
            except UnicodeDecodeError as of_line:
                found = line[max(0, of_line.start - 20) : of_line.start + 20].decode("cp1252", errors="replace")
                place = f": line {number} has {quoted(found.strip())}, if it is read as Windows-1252"
                break
    return InputError(
        f"{path}: not UTF-8 text{place or f' ({error.reason})'}. Save it as UTF-8 (in Excel: `CSV UTF-8`), or, if "
        f"those letters are right, convert it: `iconv -f WINDOWS-1252 -t UTF-8 {path.name} > NEW`."
    )
