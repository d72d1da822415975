"""How many records of a dataset ended how, and how long its distinct sequences are."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lucaflow.files.json_files import read_json
from lucaflow.files.writing import write_json


@dataclass
class Counts:
    """Numbers of records by status, and of distinct sequences.

    changed: characters altered or removed, in `records_changed` records; lengths: number of distinct sequences of each
    length.
    """

    status: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    records_changed: int = 0
    lengths: dict[int, int] = field(default_factory=dict)

    @property
    def distinct(self) -> int:
        return sum(self.lengths.values())

    @property
    def residues(self) -> int:
        """Number of residues in the distinct sequences."""
        return sum(length * count for length, count in self.lengths.items())

    def write(self, path: Path) -> None:
        """Write the counts and the date.

        The date makes the file new each time. Otherwise Snakemake 9.27 may decide in the middle of a run that a planned
        `plan_heads` is not needed. `plan_heads` is a checkpoint: it would then count as missing, and the jobs that wait
        for it would run without their input.
        """
        date = datetime.datetime.now(datetime.UTC).isoformat()
        counts = {**asdict(self), "status": dict(sorted(self.status.items())), "date": date}
        write_json(path, counts)

    @classmethod
    def read(cls, path: Path) -> Counts:
        """Read counts from a file, without the date."""
        stored = read_json(path)
        del stored["date"]
        lengths = {int(length): count for length, count in stored["lengths"].items()}
        return cls(**{**stored, "status": Counter(stored["status"]), "lengths": lengths})
