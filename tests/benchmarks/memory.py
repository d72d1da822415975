"""Measure peak memory and time of one pass for sequences of different lengths; memory grows linearly.

    python tests/benchmarks/memory.py 1000 2000 4000 8000 16000

The layers have LucaOne's full width and random weights. Each length runs on the CPU in its own process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from networks import FULL, options, prepare, random_encoder

from lucaflow.engine.devices import peak_memory
from lucaflow.engine.engine import Engine
from lucaflow.records.sequences import NormalisedSequence

RESIDUES = (1000, 2000, 4000, 8000, 16000)


def embed(residues: int, layers: int, precision: str) -> None:
    """Embed one sequence; print the memory before it (bytes), the peak memory (bytes) and the seconds."""
    device = torch.device("cpu")
    shape = replace(FULL, layers=layers)
    encoder = prepare(random_encoder(shape, device), precision)
    engine = Engine(encoder, options(precision), device, budget=1)
    sequence = NormalisedSequence("0" * 64, "gene", ("ACGT" * (residues // 4 + 1))[:residues])
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    before = int(line.split()[1]) * 1024
    started = time.perf_counter()
    list(engine.embed([sequence]))
    print(before, peak_memory(device), time.perf_counter() - started)


def table(lengths: Sequence[int], layers: int, precision: str) -> None:
    """Measure each length in its own process, and print a table."""
    print(f"{layers} layers, {precision}")
    print("| residues | seconds | peak memory | above the weights | kB a residue |\n|---|---|---|---|---|")
    for residues in lengths:
        command = [sys.executable, __file__, str(residues), "--alone"]
        command += ["--layers", str(layers), "--precision", precision]
        before, peak, seconds = map(float, subprocess.run(command, check=True, capture_output=True).stdout.split())
        more = peak - before
        sizes = f"{peak / 1e9:.2f} GB | {more / 1e9:.2f} GB | {more / residues / 1e3:.0f}"
        print(f"| {residues:,} | {seconds:.1f} | {sizes} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("residues", type=int, nargs="*", default=RESIDUES)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--alone", action="store_true", help="embed in this process")
    arguments = parser.parse_args()
    if arguments.alone:
        embed(arguments.residues[0], arguments.layers, arguments.precision)
    else:
        table(arguments.residues, arguments.layers, arguments.precision)


if __name__ == "__main__":
    main()
