"""Which columns of a table go along with its records, and by which names?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lucaflow.records.columns import MISSING, NAMES_OF_SEQUENCES, Chosen, plain_name

# Names that tables of records use themselves.
RESERVED = (
    "record", "id", "description", "label", "length", "digest", "x", "y", "mean", "max", "cls", "matrix", "contacts",
)  # fmt: skip
_NAME_OF_INDEX = "Unnamed:"
_SEQUENCE = re.compile(r"[A-Za-z*-]{30,}|[ACGTUNacgtun]{12,}")


@dataclass
class FoundColumns:
    """The further columns of a table, which its reader fills in before the first record.

    names: of the columns beside ids, sequences and labels, which differ also if case is ignored; has_labels: whether
    the table has the column of labels.
    """

    names: list[str] = field(default_factory=list)
    has_labels: bool = False


# Of records that were read without their further columns.
NO_COLUMNS = FoundColumns()


def further_columns(names: Sequence[str], width: int, chosen: Chosen) -> list[int]:
    """Return the indices of the columns that are not used otherwise.

    names: the header, or no cells; width: the number of columns. Columns without a name in a header, such as the row
    numbers that pandas writes, are left out.
    """
    used = {chosen.id, chosen.sequence, chosen.label}
    others = [index for index in range(width) if index not in used]
    if names:
        others = [index for index in others if names[index] and not names[index].startswith(_NAME_OF_INDEX)]
    return others


def holds_sequences(name: str, index: int, below: Sequence[Sequence[str]]) -> bool:
    """Return whether a column has sequences, by its name or by its cells. below: some rows."""
    if plain_name(name) in NAMES_OF_SEQUENCES:
        return True
    cells = [row[index].strip() for row in below if index < len(row)]
    known = [cell for cell in cells if cell and cell not in MISSING]
    # A shorter text may be a word, such as MITOCHONDRION.
    return bool(known) and all(map(_SEQUENCE.fullmatch, known))


def left_out(names: Sequence[str]) -> str:
    """Return the note about columns that do not go along."""
    return f"columns with sequences are left out of the further columns: {', '.join(names)}"


def distinct_names(names: Iterable[str], taken: Iterable[str], origin: str) -> list[str]:
    """Return names that differ from each other and from those that are taken, also if case is ignored.

    >>> distinct_names(["length", "organism", "Organism"], RESERVED, "table")
    ['length (table)', 'organism', 'Organism (table)']
    """
    known = {name.casefold() for name in taken}
    found = []
    for name in names:
        number, candidate = 1, name
        while candidate.casefold() in known:
            candidate = f"{name} ({origin}{f' {number}' if number > 1 else ''})"
            number += 1
        known.add(candidate.casefold())
        found.append(candidate)
    return found
