"""Compare the speed of writing shards in HDF5 with plain files of the same bytes, both flushed to the disk."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import networks
import numpy as np

from lucaflow.engine.pooling import EmbeddedBatch, Piece
from lucaflow.store.format import ShardContent
from lucaflow.store.shards import ShardWriter

RESIDUES, HIDDEN_SIZE = 330, 2560
SEQUENCES_PER_BATCH = 6


def batches(rows: np.ndarray, count: int) -> Iterator[EmbeddedBatch]:
    """Yield batches of matrices as the engine does, without computing them."""
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
    """Return the bytes per second of HDF5, and the ratio of this rate to a plain file's: medians over the rounds.

    The order alternates from round to round, since the file written before has an influence: reusing the memory of its
    pages costs a virtual machine time.
    """
    rows = np.random.default_rng(0).standard_normal((RESIDUES, HIDDEN_SIZE), dtype=np.float32)
    count = int(gigabytes * 1e9 / rows.nbytes)
    ways = [as_hdf5, as_plain_file]
    taken: dict[Callable[..., None], list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "written"
        for _ in range(rounds):
            for way in ways:
                os.sync()
                started = time.perf_counter()
                way(path, rows, count)
                taken[way].append(time.perf_counter() - started)
                path.unlink()
                print(f"  {way.__name__}: {count * rows.nbytes / taken[way][-1] / 1e6:.0f} MB/s", file=sys.stderr)
            ways.reverse()
    ours, plain = (statistics.median(taken[way]) for way in (as_hdf5, as_plain_file))
    return count * rows.nbytes / ours, plain / ours
