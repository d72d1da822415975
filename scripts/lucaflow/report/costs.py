"""How long did the embedding jobs of a dataset take, and how much did they compute?

Jobs of earlier runs with the same options count as well, so that the cost of a result stays known after a small change.
"""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lucaflow.errors import DAMAGE, damage
from lucaflow.files.json_files import parse_json

logger = logging.getLogger(__name__)


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
    benchmarks = [_benchmark(table) for table in tables.values()] if known else []
    # Without one of them, the sum is not known.
    measured = [benchmark for benchmark in benchmarks if benchmark] if all(benchmarks) else []
    memory = [megabytes for _, megabytes in measured if megabytes is not None]
    computed = [_computed(path) for path in (working / "logs" / jobs).glob("*.computed.json")]
    residues, seconds = (sum(column) for column in zip(*computed, strict=True)) if computed else (0.0, 0.0)
    return Costs(
        round(sum(each for each, _ in measured), 1) if measured else None,
        round(residues / seconds) if seconds else None,
        round(max(memory)) if memory else None,
    )


def _benchmark(table: Path) -> tuple[float, float | None] | None:
    """Return the seconds and the MB of a job, as Snakemake measured them; None, with a warning, if it is damaged."""
    try:
        with table.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
        if len(rows) != 1:
            raise ValueError(f"{len(rows)} rows, expected 1")
        row = rows[0]
        return _number(row["s"]), None if row["max_rss"] in ("-", "NA", "") else _number(row["max_rss"])
    except DAMAGE as error:
        logger.warning("%s is damaged (%s): seconds and memory of its dataset are left out.", table, damage(error))
        return None


def _computed(path: Path) -> tuple[float, float]:
    """Return the residues and the seconds that a job computed; none of either, with a warning, if it is damaged."""
    try:
        content = parse_json(path)
        return _number(content["residues"]), _number(content["seconds"])
    except DAMAGE as error:
        logger.warning("%s is damaged (%s): its job is left out of the residues per second.", path, damage(error))
        return 0.0, 0.0


def _number(value: str | float) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number
