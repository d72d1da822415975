"""Which records are in a FASTA, CSV or TSV file, plain or compressed?

The format is recognised by content. Sequences are returned as they are in the file; `lucaflow.records.outcomes`
normalises them.
"""

from __future__ import annotations

import codecs
import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path

from lucaflow.errors import InputError, quoted, shown
from lucaflow.files.usable import why_unusable
from lucaflow.records import raw_records
from lucaflow.records.fasta import read_fasta
from lucaflow.records.opening import open_text, zstd
from lucaflow.records.raw_records import PAIR_COLUMNS, Columns, RawRecord
from lucaflow.records.tables import read_pairs, read_table

__all__ = ["PAIR_COLUMNS", "Columns", "RawRecord", "is_fasta", "open_text", "read_records", "zstd"]

_SUFFIXES = {".gz", ".bz2", ".xz", ".zst"}


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
                yield from read_fasta(handle, path)
            elif columns.pairs:
                yield from read_pairs(handle, path, delimiter, columns)
            else:
                yield from read_table(handle, path, delimiter, columns)
    except UnicodeDecodeError as error:
        but = " but UTF-16" if error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ""
        raise InputError(f"{path}: not UTF-8 text{but} ({error}). Save it as UTF-8 and run again.") from error
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstd.ZstdError, EOFError) as error:
        raise InputError(f"{path}: the compressed file is damaged or cut short ({error}). Copy it again.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error


def is_fasta(path: Path) -> bool:
    """Return whether a file is read as FASTA. Raises InputError for a file in no known format."""
    return _delimiter(path) is None


def _delimiter(path: Path) -> str | None:
    """Return the delimiter of a table, or None for FASTA."""
    with open_text(path) as handle:
        lines = iter(lambda: handle.readline(raw_records.LONGEST_RECORD), "")
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
