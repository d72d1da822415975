"""What is a record as it is read, and which columns of a table is it in?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

# Characters and columns of a record; docs/inputs.md gives the reason.
LONGEST_RECORD = 300_000_000
MOST_COLUMNS = 1_000_000
# LucaOne's columns for a file of pairs.
PAIR_COLUMNS = ("seq_id_a", "seq_id_b", "seq_type_a", "seq_type_b", "seq_a", "seq_b")


class RawRecord(NamedTuple):
    """One record as read, or one side of a pair.

    text: the lines of the sequence below `line`, with line feeds between them; seq_type: if the file states it;
    fault: why the record could not be read correctly; cells: of the further columns, none if all are empty.
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
    cells: Sequence[str] = ()


@dataclass(frozen=True)
class Columns:
    """The columns of ids, sequences and labels: a name, or a 0-based index; None for the default.

    header: whether the first row has names; None if the user did not say: yes, but a row that may be a record is
    refused. pairs: whether each row has two sequences, in LucaOne's columns. seq_type: of the sequences, which decides
    between columns such as `dna` and `protein`; label_optional: whether the column of labels may be missing, because
    the metadata has one of this name.
    """

    header: bool | None = None
    id: str | None = None
    sequence: str | None = None
    label: str | None = None
    pairs: bool = False
    # Not in repr(), which Snakemake compares, nor in the settings, which have the type of the dataset.
    seq_type: str = field(default="", repr=False)
    label_optional: bool = field(default=False, repr=False)

    def settings(self) -> dict[str, Any]:
        """Return what the user asked for, as the settings of steps record it."""
        return {name: value for name, value in asdict(self).items() if name not in ("seq_type", "label_optional")}
