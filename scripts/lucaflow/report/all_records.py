"""overview.tsv of a dataset: all that is known of each record in one row, and the first rows as a page.

The tables that it is made of are in the order of the records. They are read side by side, a row at a time, so that
memory does not grow with them.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lucaflow.errors import StoreError
from lucaflow.files.writing import replacing, write_text
from lucaflow.records.further_columns import distinct_names
from lucaflow.records.tsv import open_tsv
from lucaflow.report.pages import heading, page_of_parts, paragraph, table

# Rows of the page. A browser takes seconds to open a page with more.
MOST_ROWS = 2000
# Longer cells are cut in the page.
MOST_CHARACTERS = 200
# The last words of columns that hold numbers. Others may hold names, such as 83332.12, and are shown as they are.
_OF_NUMBERS = ("length", "similarity", "precision", "identity", "probability", "perplexity", "sequences")
# Not a name, such as 007 or 1E5.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?(e-?[0-9]+)?")
OF_RECORDS = ("id", "outcome", "reason", "length", "description", "label")


@dataclass(frozen=True)
class Source:
    """A table that adds columns to the rows of records.

    path: of the table, separated by tabs or, as CSV, by commas; key: its column of ids, or of numbers of records;
    columns: those that the overview takes, with their names there; is_numbered: whether the key is the number of the
    record; else it is the id of an accepted one, and only the first row of an id counts.
    """

    path: Path
    key: str
    columns: Mapping[str, str]
    is_numbered: bool = False


class _Reader:
    """Yields the cells that a table has for each record; the records are asked for in their order."""

    def __init__(self, stack: ExitStack, source: Source) -> None:
        delimiter = "," if source.path.suffix == ".csv" else "\t"
        handle = stack.enter_context(source.path.open(encoding="utf-8", newline=""))
        self._rows = csv.reader(handle, delimiter=delimiter)
        header = next(self._rows)
        self._key = header.index(source.key)
        self._places = [header.index(name) for name in source.columns]
        self._none = [""] * len(self._places)
        self._next: list[str] | None = next(self._rows, None)

    @property
    def is_at_end(self) -> bool:
        return self._next is None

    def cells_of(self, key: str) -> list[str]:
        """Return the cells of the next row if it has this key, else empty ones. Further rows of the key are skipped."""
        if self._next is None or self._next[self._key] != key:
            return self._none
        found = [self._next[place] for place in self._places]
        while self._next is not None and self._next[self._key] == key:
            self._next = next(self._rows, None)
        return found


def sources_of_records(labels: Path, columns: Path, taken: Iterable[str]) -> list[Source]:
    """Return the labels and the further columns of a dataset. taken: names of other columns of the overview."""
    with columns.open(encoding="utf-8", newline="") as handle:
        _, *names = next(csv.reader(handle, delimiter="\t"))
    shown = distinct_names(names, [*OF_RECORDS, *taken], "input")
    return [
        Source(labels, "record", {"label": "label"}, is_numbered=True),
        Source(columns, "record", dict(zip(names, shown, strict=True)), is_numbered=True),
    ]


def rows_of(records: Path, sources: Sequence[Source]) -> Iterator[list[str]]:
    """Yield the header and a row for each record of records.tsv, with the cells of all sources.

    Raises StoreError after the last one if a table has rows of other records, or in another order.
    """
    csv.field_size_limit(sys.maxsize)
    with ExitStack() as stack:
        handle = stack.enter_context(records.open(encoding="utf-8", newline=""))
        readers = [(_Reader(stack, source), source.is_numbered) for source in sources]
        yield [*OF_RECORDS[:-1], *(name for source in sources for name in source.columns.values())]
        for row in csv.DictReader(handle, delimiter="\t"):
            is_accepted = row["status"] == "accepted"
            cells = [row["id"], row["status"], row["reason"], row["length"], row["description"]]
            for reader, is_numbered in readers:
                # A record that was not accepted may have the id of one that was.
                key = row["record"] if is_numbered else row["id"] if is_accepted else "\0"
                cells += reader.cells_of(key)
            yield cells
        for (reader, _), source in zip(readers, sources, strict=True):
            if not reader.is_at_end:
                raise StoreError(f"{source.path}: its rows do not belong to the records of {records}. Run again.")


def write_overview(
    rows: Iterator[list[str]], path: Path, title: str, compared: Sequence[Sequence[str]] = (), notes: Sequence[str] = ()
) -> None:
    """Write all rows as a table, and the first 2,000 as a page beside it.

    rows: the header and the rows; compared: a smaller table above them, which may be empty; notes: paragraphs.
    """
    header, kept, count = next(rows), [], 0
    with replacing(path) as temporary, ExitStack() as stack:
        _, writer = open_tsv(stack, temporary, header)
        for row in rows:
            writer.writerow(row)
            if count < MOST_ROWS:
                kept.append([cell[:MOST_CHARACTERS] for cell in row])
            count += 1
    shown = f"All {count:,} records"
    if count > MOST_ROWS:
        shown = f"The first {MOST_ROWS:,} of {count:,} records; {path.name} has them all"
    parts = [*map(paragraph, notes)]
    if len(compared) > 1:
        parts += [heading("Do the labels cluster?"), table(_as_columns(compared[0], compared[1:]))]
    parts += [heading(shown), table(_as_columns(header, kept, leave_out_empty=True))]
    write_text(path.with_suffix(".html"), page_of_parts(title, parts))


def _as_columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], leave_out_empty: bool = False
) -> dict[str, list[object]]:
    """Return rows as columns, by which numbers are sorted as numbers."""
    columns: dict[str, list[object]] = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    return {
        name: _as_numbers(cells) if name.endswith(_OF_NUMBERS) else cells
        for name, cells in columns.items()
        if any(cells) or not leave_out_empty
    }


def _as_numbers(texts: list[object]) -> list[object]:
    """Return texts as numbers if all that have a value are numbers, else as they are."""
    cells = [str(text) for text in texts]
    given = [cell for cell in cells if not _is_missing(cell)]
    if not all(map(_NUMBER.fullmatch, given)):
        return [*cells]
    kind = int if all(cell.lstrip("-").isdecimal() for cell in given) else float
    return [None if _is_missing(cell) else kind(cell) for cell in cells]


def _is_missing(cell: str) -> bool:
    return cell in ("", "-")
