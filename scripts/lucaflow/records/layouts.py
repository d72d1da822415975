"""Is a file FASTA, PIR or a table, and what is above its first record or row?"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lucaflow.errors import InputError, quoted
from lucaflow.records.columns import has_names
from lucaflow.records.fasta import PIR_HEADER
from lucaflow.records.opening import open_text, refuse_foreign
from lucaflow.records.raw_records import LONGEST_RECORD, Columns

_SUFFIXES = {".gz", ".bz2", ".xz", ".zst"}
_DELIMITERS = "\t,;"
# Excel's first line, which says how columns are separated.
_STATED = re.compile(r'"?sep=([,;\t|])"?[,;\t]*', re.IGNORECASE)
# Lines of the first record that are looked at, to tell PIR from FASTA.
_LINES_OF_RECORD = 10_000

Lines = Iterator[tuple[int, str]]


@dataclass(frozen=True)
class Layout:
    """How a file is read. delimiter: of the cells of a table; None for FASTA and PIR.

    skipped: lines above the first row of a table; notes: what a user should know about it.
    """

    delimiter: str | None = None
    skipped: int = 0
    is_pir: bool = False
    notes: tuple[str, ...] = ()


def layout_of(path: Path, columns: Columns) -> Layout:
    """Return how a file is read. Raises InputError for a file in no known format, by its name where it is known."""
    refuse_foreign(path)
    with open_text(path) as handle:
        lines = enumerate(iter(lambda: handle.readline(LONGEST_RECORD), ""), start=1)
        return _layout(lines, path, columns)


def _layout(lines: Lines, path: Path, columns: Columns) -> Layout:
    stated, remarks = "", deque[tuple[int, str]](maxlen=10)
    for number, line in lines:
        if found := None if stated else _STATED.fullmatch(line.rstrip("\n")):
            stated = found[1]
        elif line.startswith("#"):
            remarks.append((number, line[: LONGEST_RECORD // 100]))
        elif line.strip():
            break
    else:
        why = "every line starts with `#`, which marks a remark" if remarks else "the file holds no records"
        raise InputError(f"{path}: {why}. Correct the path, or remove the dataset from the table.")
    delimiter = stated if stated and stated in line else next((each for each in _DELIMITERS if each in line), None)
    if line.startswith(">"):
        named = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _SUFFIXES][-1:]
        may_be_table = delimiter not in (None, ";") and named in ([".csv"], [".tsv"])
        below = list(_first_lines(lines)) if may_be_table or PIR_HEADER.match(line, 1) else []
        if not (may_be_table and (not below or str(delimiter) in below[0])):
            return _fasta_layout(line, below)
    elif line.startswith(";") and delimiter == ";":
        after = next((text for _, text in lines if text.strip() and not text.startswith(";")), "")
        if after.startswith(">") or after.count(";") != line.count(";"):
            return Layout()
    if delimiter is None:
        raise InputError(
            f"{path}: neither FASTA nor a table. Expected a first line that starts with '>', or one with columns "
            f"separated by tabs, commas or semicolons; found {quoted(line.strip())}."
        )
    return _table_layout(delimiter, number, line, list(remarks), columns)


def _first_lines(lines: Lines) -> Iterator[str]:
    """Yield the lines below a header line, up to the next one, not more than some."""
    for _, (_, line) in zip(range(_LINES_OF_RECORD), lines, strict=False):
        if line.startswith(">"):
            return
        yield line


def _fasta_layout(header: str, below: list[str]) -> Layout:
    """Return whether the first record is PIR or FASTA. below: its lines, if its header line has a code of PIR."""
    if not PIR_HEADER.match(header, 1):
        return Layout()
    code = header[1:].split(";", maxsplit=1)[0]
    if any("*" in line for line in below[1:]):
        note = f"read as PIR, since the first record begins with {code}; and ends in *: the line below each header line"
        return Layout(is_pir=True, notes=(f"{note} is a title, not residues",))
    note = f"the first header line begins with {code}; as in PIR, but its record does not end in *: read as FASTA"
    return Layout(notes=(note,))


def _table_layout(delimiter: str, number: int, line: str, remarks: list[tuple[int, str]], columns: Columns) -> Layout:
    """Return the layout of a table whose first row that is no remark is a line. remarks: the last lines above it.

    The last remark is the row of names if it has names in as many columns, and the line below has none.
    """
    rows = [(at, text) for at, text in remarks if text.count(delimiter) == line.count(delimiter)]
    if rows and rows[-1] == remarks[-1] and not has_names(line.split(delimiter), columns):
        at, text = rows[-1]
        if has_names(text.split(delimiter), columns):
            return Layout(delimiter, at - 1)
    # A remark mostly begins with a blank; a row whose id begins with # does not.
    rows = [(at, text) for at, text in rows if text[1:2] not in ("#", " ", "!")]
    skipped = [f"line {at}, {quoted(text.strip(), 60)}" for at, text in rows[:3]]
    note = "lines that start with # above the table were left out, although they have as many columns as its rows: "
    return Layout(delimiter, number - 1, notes=(f"{note}{'; '.join(skipped)}",) if skipped else ())
