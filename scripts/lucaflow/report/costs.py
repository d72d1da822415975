"""How long did the embedding jobs of a dataset take, and how much did they compute?

Jobs of earlier runs with the same options count as well, so that the cost of a result stays known after a small change.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lucaflow.files.json_files import read_json


@dataclass(frozen=True)
class Costs:
    """The cost of a dataset's embeddings. Each is None if it was not measured.

    seconds: of all embedding jobs together, start-up included; residues_per_second: without start-up; memory_mb: the
    most that one job took.
    """

    seconds: float | None
    residues_per_second: int | None
    memory_mb: int | None


def computed_beside(log: Path) -> Path:
    """Return the file beside the log of an embedding job with the residues and the seconds that it computed."""
    return log.with_suffix(".computed.json")


def costs_of_embedding(working: Path, jobs: Path, shards: Iterable[str]) -> Costs:
    """Return the costs of the embedding jobs of a dataset.

    working: the folder with logs and benchmarks; jobs: the folder of the jobs' files below either, such as
    embed/<dataset>/<model>/<fingerprint>; shards: the names of the present shards. If one of them was not measured, the
    seconds are not known.
    """
    tables = {table.stem: table for table in (working / "benchmarks" / jobs).glob("*.tsv")}
    known = all(shard in tables for shard in shards)
    measured = [row for table in tables.values() for row in _rows(table)] if known else []
    memory = [float(row["max_rss"]) for row in measured if row["max_rss"] not in ("-", "NA", "")]
    computed = [
        read_json(path, "Delete it and run again.") for path in (working / "logs" / jobs).glob("*.computed.json")
    ]
    residues, seconds = (sum(each[name] for each in computed) for name in ("residues", "seconds"))
    return Costs(
        round(sum(float(row["s"]) for row in measured), 1) if measured else None,
        round(residues / seconds) if seconds else None,
        round(max(memory)) if memory else None,
    )


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t")
