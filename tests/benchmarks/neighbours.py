"""Compare the exact search for neighbours with a plain loop of torch.mm and topk, by processor time.

Usage: python tests/benchmarks/neighbours.py [--sequences 10000] [--width 2560] [--k 10] [--rounds 3]

The search reads vectors from a file, subtracts their mean, divides them by their lengths, keeps memory bounded, and
puts equally similar ones in order. The loop has vectors of length 1 in memory, and takes what topk gives.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Threads that spin while they wait would count as processor time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import h5py
import numpy as np
import torch

from lucaflow.neighbours.search import nearest

FAMILIES = 200
ROWS_AT_ONCE = 2048


def write_vectors(path: Path, count: int, width: int) -> None:
    """Write vectors like embeddings: all near one direction, in families of near copies."""
    draw = np.random.default_rng(0)
    families = draw.normal(0, 1, (FAMILIES, width)).astype(np.float32)
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("mean", (count, width), np.float32)
        for start in range(0, count, ROWS_AT_ONCE):
            rows = min(ROWS_AT_ONCE, count - start)
            near = families[draw.integers(0, FAMILIES, rows)]
            stored[start : start + rows] = 5 + near + draw.normal(0, 1, (rows, width))


def plain_loop(vectors: np.ndarray, k: int) -> torch.Tensor:
    """Return the rows (n, k) of the nearest vectors. vectors: (n, H) of length 1."""
    units, found = torch.from_numpy(vectors), []
    for start in range(0, len(units), ROWS_AT_ONCE):
        part = units[start : start + ROWS_AT_ONCE]
        similarity = torch.mm(part, units.T)
        similarity[torch.arange(len(part)), torch.arange(start, start + len(part))] = -torch.inf
        found.append(similarity.topk(k, dim=1).indices)
    return torch.cat(found)


def processor_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"sequences": 10_000, "width": 2560, "k": 10, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.h5"
        write_vectors(path, options.sequences, options.width)
        with h5py.File(path) as file:
            stored = file["mean"]
            centred = stored[:] - stored[:].mean(0)
            units = centred / np.linalg.norm(centred, axis=1, keepdims=True)
            found, plain = nearest(stored, options.k).rows, plain_loop(units, options.k).numpy()
            same = np.mean([len(np.intersect1d(*pair)) for pair in zip(found, plain, strict=True)]) / options.k
            seconds: dict[str, list[float]] = {"search": [], "plain loop": []}
            for _ in range(options.rounds):
                seconds["search"].append(processor_seconds(lambda: nearest(stored, options.k)))
                seconds["plain loop"].append(processor_seconds(lambda: plain_loop(units, options.k)))
    pairs = options.sequences**2
    print(f"{options.sequences:,} vectors of {options.width:,} among themselves, {options.k} neighbours")
    print(f"neighbours that both find: {same:.2%}")
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        rate = pairs * options.width / middle / 1e9
        print(f"{name}: {middle:.1f} s of processor time, {pairs / middle / 1e6:.1f} million pairs a second, "
              f"{rate:.1f} thousand million products of numbers a second")  # fmt: skip
    ratios = [ours / theirs for ours, theirs in zip(*seconds.values(), strict=True)]
    print(f"search / plain loop: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
