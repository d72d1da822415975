"""Which row of a table of metadata belongs to which record of a dataset?

A row is joined by the id of a record, or else by a part between the bars of `db|ACCESSION|NAME`, on either side.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lucaflow.errors import InputError, quoted, shown
from lucaflow.records.columns import index_of, plain_name
from lucaflow.records.further_columns import holds_sequences, left_out
from lucaflow.records.readers import rows_of_table
from lucaflow.records.rows import sampled

# Between the cells of a row in memory: the control character that separates units.
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class MetadataFile:
    """A table of metadata as the table of datasets names it. id_column: name or 0-based index; None for the first."""

    path: Path
    id_column: str | None = None


@dataclass
class Metadata:
    """A table of metadata in memory.

    id_name: of the column of ids; names: of the others; label: the index in `names` of the column that was asked for as
    labels, or None; rows: by id; repeated: id and line of rows whose id an earlier row has.
    """

    path: Path
    id_name: str
    names: list[str]
    label: int | None = None
    rows: dict[str, str] = field(default_factory=dict)
    repeated: list[tuple[str, int]] = field(default_factory=list)
    _ids_of_part: dict[str, str | None] = field(default_factory=dict)

    def add(self, identifier: str, line: int, cells: Iterable[str]) -> None:
        """Add a row. One whose id is known already is only noted."""
        key = id_as_compared(identifier)
        if key in self.rows:
            self.repeated.append((identifier, line))
            return
        self.rows[key] = _SEPARATOR.join([str(line), *(cell.replace(_SEPARATOR, " ") for cell in cells)])
        for part in parts_of_id(key):
            self._ids_of_part[part] = None if part in self._ids_of_part else key

    def find(self, identifier: str) -> tuple[str | None, bool]:
        """Return the id of the row of a record, or None; and whether that is because several rows match."""
        key = id_as_compared(identifier)
        if key in self.rows:
            return key, False
        found: set[str | None] = {part for part in parts_of_id(key) if part in self.rows}
        found = found or {self._ids_of_part[part] for part in (key,) if part in self._ids_of_part}
        return (found.pop(), False) if len(found) == 1 and None not in found else (None, bool(found))

    def is_named_as(self, identifier: str) -> bool:
        """Return whether the name of the column of ids is an id itself, because the file has no line of names."""
        key = id_as_compared(identifier)
        return self.id_name == key or self.id_name in parts_of_id(key)

    def cells(self, key: str) -> tuple[int, list[str]]:
        """Return the line of a row in the file, and its cells."""
        line, *cells = self.rows[key].split(_SEPARATOR)
        return int(line), cells


def id_as_compared(identifier: str) -> str:
    """Return an id as ids are compared: in Unicode's form NFC."""
    return identifier if identifier.isascii() else unicodedata.normalize("NFC", identifier)


def parts_of_id(identifier: str) -> list[str]:
    """Return the parts between the bars of `db|ACCESSION|NAME`, by which a record is known too."""
    return [part for part in identifier.split("|")[1:] if part] if "|" in identifier else []


def read_metadata(file: MetadataFile, label: str | None, note: Callable[[str], None]) -> Metadata:
    """Read a table of metadata: CSV or TSV with a header line, plain or compressed.

    label: the column of labels, if it may be in this file; note: is called with what a user should know.
    Raises InputError for a file that cannot be read, and for a row without an id or with other columns.
    """
    rows = rows_of_table(file.path, note)
    line, names = next(rows)
    names = [cell.strip() for cell in names]
    remarks: list[str] = []
    try:
        ids = index_of(file.id_column, "ids", names, len(names), remarks) if file.id_column else 0
    except InputError as error:
        raise InputError(f"{file.path}, line {line}: {error}. Correct metadata_id in the table of datasets.") from None
    for remark in remarks:
        note(f"metadata: {remark}")
    below, rows = sampled(rows)
    others = [index for index, name in enumerate(names) if index != ids and name]
    sequences = [index for index in others if holds_sequences(names[index], index, below)]
    if sequences:
        note(left_out([names[index] for index in sequences]))
    others = [index for index in others if index not in sequences]
    found = Metadata(file.path, names[ids] or "0", [names[index] for index in others])
    found.label = _index_of_label(label, found.names)
    for line, row in rows:
        identifier = row[ids].strip()
        if not identifier:
            raise InputError(
                f"{file.path}, line {line}: no id in the column {quoted(found.id_name)}. Complete the row or remove it."
            )
        found.add(identifier, line, (row[index].strip() if index < len(row) else "" for index in others))
    return found


def _index_of_label(label: str | None, names: Sequence[str]) -> int | None:
    """Return the index of the column of labels by its name; one that no column has may differ in case."""
    if label is None:
        return None
    if label in names:
        return names.index(label)
    return next((index for index, name in enumerate(names) if plain_name(name) == plain_name(label)), None)


def refuse_unjoined(metadata: Metadata, source: Path, ids: Sequence[str]) -> None:
    """Raise InputError that says which other column has ids of the dataset. ids: some ids of its records."""
    counts: Counter[str] = Counter()
    wanted = {part for identifier in ids for part in (identifier, *parts_of_id(identifier))}
    for key in metadata.rows:
        for name, cell in zip(metadata.names, metadata.cells(key)[1], strict=True):
            counts[name] += cell in wanted
    better = [name for name, count in counts.most_common(1) if count]
    columns = shown(", ".join((metadata.id_name, *metadata.names)))
    remedy = f"Set metadata_id to the column of ids. The file has: {columns}"
    if better:
        remedy = f"The column {quoted(better[0])} has ids of the dataset: set metadata_id to it"
    raise InputError(
        f"{metadata.path}: no row belongs to a record of {source}. The column of ids, {quoted(metadata.id_name)}, has "
        f"{_listed(metadata.rows)}; the dataset has {_listed(ids)}. {remedy}."
    )


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(quoted(identifier) for identifier, _ in zip(ids, range(3), strict=False)) or "no ids"
