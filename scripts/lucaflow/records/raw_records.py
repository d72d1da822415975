"""What is a record as it is read, and which columns of a table is it in?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# Characters and columns of a record; docs/inputs.md gives the reason.
LONGEST_RECORD = 300_000_000
MOST_COLUMNS = 1_000_000
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
