"""How fast shards are written: HDF5 against a plain file of the same bytes, each brought to the disk."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import networks
import numpy as np

from lucaflow.pooling import EmbeddedBatch, Piece
from lucaflow.shard_writer import ShardContent, ShardWriter

RESIDUES, HIDDEN_SIZE = 330, 2560
SEQUENCES_PER_BATCH = 6


def batches(rows: np.ndarray, count: int) -> Iterator[EmbeddedBatch]:
    """Yield matrices as the engine does, without computing any."""
    for start in range(0, count, SEQUENCES_PER_BATCH):
        numbers = range(start, min(start + SEQUENCES_PER_BATCH, count))
        ones = np.ones(len(numbers), dtype=np.int64)
        pieces = [Piece("matrix", number, RESIDUES, 0, rows) for number in numbers]
        yield EmbeddedBatch(np.array(numbers), RESIDUES * ones, ones, {}, pieces)


def synchronise(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def as_hdf5(path: Path, rows: np.ndarray, count: int) -> None:
    digests = [f"{number:064x}" for number in range(count)]
    lengths = [RESIDUES] * count
    options = networks.options(outputs=("matrix",))
    with ShardWriter(path, ShardContent(digests, lengths, options, "", HIDDEN_SIZE), "cpu") as writer:
        writer.write(batches(rows, count))
    synchronise(path)


def as_plain_file(path: Path, rows: np.ndarray, count: int) -> None:
    with path.open("wb") as file:
        for _ in range(count):
            file.write(rows.data)
    synchronise(path)


def measure(gigabytes: float, rounds: int, folder: Path | None) -> tuple[float, float]:
    """Return the bytes a second of HDF5, and the ratio of its rate to a plain file's: medians of alternating rounds."""
    rows = np.random.default_rng(0).standard_normal((RESIDUES, HIDDEN_SIZE), dtype=np.float32)
    count = int(gigabytes * 1e9 / rows.nbytes)
    rates, ratios = [], []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for _ in range(rounds):
            taken = []
            for write in (as_hdf5, as_plain_file):
                path = Path(name) / "written"
                os.sync()
                started = time.perf_counter()
                write(path, rows, count)
                taken.append(time.perf_counter() - started)
                path.unlink()
            rates.append(count * rows.nbytes / taken[0])
            ratios.append(taken[1] / taken[0])
            print(f"  {rates[-1] / 1e6:.0f} MB/s, ratio {ratios[-1]:.2f}", file=sys.stderr)
    return statistics.median(rates), statistics.median(ratios)
