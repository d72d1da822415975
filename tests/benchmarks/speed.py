"""Measure the engine's speed on this machine's processor, as ratios of two things timed in the same run.

    make benchmark

docs/speed.md explains the letters of the rows.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import encoders
import memory
import pipeline
import writing
from networks import (
    FULL_WIDTH,
    MEDIUM,
    MINI,
    Shape,
    alternated,
    engine_for,
    heading,
    plain_loop,
    product_rate,
    proteins,
    row,
    tokens_of,
)  # fmt: skip

from lucaflow.encoders.onednn import has_bfloat16
from lucaflow.engine.devices import DTYPE_OF_PRECISION, set_matmul_precision

CPU = torch.device("cpu")


def compare(shape: Shape, precision: str, count: int, rounds: int) -> None:
    """Print (a) and (b): the engine's speed relative to matrix products of this machine, and to the plain loop."""
    set_matmul_precision("float32")
    sequences = proteins(count)
    residues = sum(len(sequence.residues) for sequence in sequences)
    loop = plain_loop(shape, sequences, CPU)
    engine = engine_for(shape, precision, CPU)

    def embed() -> None:
        for _ in engine.embed(sequences):
            pass

    embed()
    taken, ratio = alternated(embed, loop, rounds, CPU)
    rate = shape.operations(tokens_of(sequences)) / taken
    whole = product_rate(DTYPE_OF_PRECISION[precision], CPU)
    name = f"{shape.name}, {precision}"
    row("a", name, f"{rate / whole:.2f} of {whole / 1e9:,.0f} GFLOP/s")
    row("b", name, f"{ratio:.2f} times a plain loop, {residues / taken:,.0f} residues/s")


def token_efficiency(count: int) -> float:
    """Return the share of sequence tokens among all tokens that the network computes."""
    sequences = proteins(count)
    engine = engine_for(MINI, "float32", CPU)
    computed = 0
    forward = engine.encoder.forward

    def counted(ids: torch.Tensor, *rest: object, **named: object) -> torch.Tensor:
        nonlocal computed
        computed += ids.numel()
        return forward(ids, *rest, **named)

    engine.encoder.forward = counted
    for _ in engine.embed(sequences):
        pass
    return sum(tokens_of(sequences)) / computed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the files written for (d)")
    parser.add_argument("--folder", type=Path, help="where the files of (d) are written")
    parser.add_argument("--proteins", type=int, default=10_000, help="number of proteins embedded for (e)")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    started = time.perf_counter()
    heading(CPU)
    for precision in ("float32", "bfloat16"):
        compare(FULL_WIDTH, precision, 30, arguments.rounds)
        compare(MEDIUM, precision, 60, arguments.rounds)
        compare(MINI, precision, 120, arguments.rounds)
    row("c", "token efficiency, real proteins", f"{token_efficiency(120):.1%}")
    rate, ratio = writing.measure(arguments.gigabytes, 5, arguments.folder)
    row("d", f"HDF5 against a plain file, {arguments.gigabytes:g} GB", f"{ratio:.2f}, {rate / 1e6:,.0f} MB/s")
    engine, ratio = pipeline.measure(arguments.proteins, os.cpu_count() or 1)
    row("e", f"workflow against engine, one shard of {engine:.0f} s", f"{ratio:.2f}")
    encoders.measure(arguments.rounds)
    print("\n(f) ", end="")
    memory.table(memory.RESIDUES, layers=2, precision="float32")
    if not has_bfloat16():
        print("\nThis processor has no bfloat16 instructions: bfloat16 numbers were multiplied in float32.")
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
