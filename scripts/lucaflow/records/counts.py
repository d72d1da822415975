"""How many records of a dataset ended how, and how long its distinct sequences are."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lucaflow.files.json_files import read_json
from lucaflow.files.writing import write_json


@dataclass
class Counts:
    """Numbers of records by status, and of distinct sequences.

    changed: characters altered or removed, in `records_changed` records; lengths: number of distinct sequences of each
    length; notes: what a user should know about how the file was read.
    """

    status: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    records_changed: int = 0
    lengths: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def distinct(self) -> int:
        return sum(self.lengths.values())

    @property
    def residues(self) -> int:
        """Number of residues in the distinct sequences."""
        return sum(length * count for length, count in self.lengths.items())

    def write(self, path: Path) -> None:
        """Write the counts as JSON, with notes if there are any."""
        content = {**asdict(self), "status": dict(sorted(self.status.items()))}
        write_json(path, content if self.notes else {key: content[key] for key in content if key != "notes"})

    @classmethod
    def read(cls, path: Path) -> Counts:
        """Read counts from a file. Raises StoreError."""
        stored = read_json(path)
        lengths = {int(length): count for length, count in stored["lengths"].items()}
        return cls(**{**stored, "status": Counter(stored["status"]), "lengths": lengths})


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1: `1,200 records`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
