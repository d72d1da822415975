"""Compare the speed of reading matrices by id with that of plain h5py through the same links.

    python tests/benchmarks/reading.py --folder /path/with/1/GB

Each round reads the same random matrices in both ways, which take turns; so the files are in the page cache. `first`
compares each matrix with its checksum, `again` is the second time by the same handle.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import h5py
import numpy as np

from lucaflow import open_embeddings
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.engine.pooling import EmbeddedBatch, Piece
from lucaflow.store.assembly import AcceptedRecords, assemble
from lucaflow.store.format import ShardContent
from lucaflow.store.shards import ShardWriter

SHARDS = 8
OPTIONS = EmbeddingOptions(("matrix",))


def write(folder: Path, count: int, width: int) -> Path:
    """Write embeddings.h5 of random matrices (50 to 400, width) in eight shards; return its path."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((400, width), dtype=np.float32)
    lengths = random.integers(50, 400, count)
    fingerprint = OPTIONS.fingerprint("c" * 64)
    shards = []
    for number, part in enumerate(np.array_split(np.arange(count), SHARDS)):
        ordered = part[np.argsort(-lengths[part])]
        shards.append(folder / f"{number}.h5")
        content = ShardContent(
            [f"{each:064x}" for each in ordered], lengths[ordered].tolist(), OPTIONS, "c" * 64, width
        )
        with ShardWriter(shards[-1], content, "cpu") as writer:
            writer.write(
                EmbeddedBatch(
                    np.array([place]), np.array([length]), np.ones(1, np.int64), {},
                    [Piece("matrix", place, length, 0, rows[:length])],
                )
                for place, length in enumerate(lengths[ordered].tolist())
            )  # fmt: skip
    digests = np.array([f"{each:064x}" for each in range(count)], dtype="S64")
    accepted = AcceptedRecords([f"P{each}" for each in range(count)], digests, lengths, np.arange(count))
    attributes = {"dataset": "d", "llm_version": "ours", "checkpoint_sha256": "c" * 64, "fingerprint": fingerprint}
    assemble(folder / "embeddings.h5", attributes, OPTIONS, accepted, shards)
    return folder / "embeddings.h5"


def seconds(read: Callable[[str], np.ndarray], ids: Sequence[str]) -> float:
    started = time.perf_counter()
    for identifier in ids:
        read(identifier)
    return time.perf_counter() - started


def measure(path: Path, ids: Sequence[str]) -> tuple[float, float, float]:
    """Return the seconds of plain h5py, of a new handle, and of the same handle again."""
    with h5py.File(path) as file:
        plain = seconds(lambda identifier: file[f"matrix/{identifier}"][:], ids)
    with open_embeddings(path) as embeddings:
        return plain, *(seconds(lambda identifier: embeddings.read("matrix", identifier), ids) for _ in range(2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to write the files meanwhile")
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--reads", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        path = write(Path(name), arguments.sequences, arguments.width)
        chosen = np.random.default_rng(1).integers(0, arguments.sequences, arguments.reads)
        ids = [f"P{number}" for number in chosen]
        measure(path, ids)
        found = [measure(path, ids) for _ in range(arguments.rounds)]
    print(f"{len(ids)} matrices: {statistics.median(plain for plain, _, _ in found):.2f} s by plain h5py")
    for name, place in (("first", 1), ("again", 2)):
        ratios = sorted(each[place] / each[0] for each in found)
        print(f"{name}: {statistics.median(ratios):.2f} times plain h5py ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
