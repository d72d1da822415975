"""Measure the engine's speed on a GPU with the full network and random weights, in less than five minutes.

    python tests/benchmarks/speed_gpu.py

docs/speed.md explains the letters of the rows.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention.varlen import varlen_attn
from torch.nn.utils.rnn import pad_sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from networks import FULL, engine_for, heading, plain_loop, product_rate, proteins, row, seconds, tokens_of

from lucaflow.engine.devices import DTYPE_OF_PRECISION, peak_memory, set_matmul_precision
from lucaflow.records.sequences import NormalisedSequence

CUDA = torch.device("cuda")


def rate(precision: str, count: int) -> float:
    """Print and return the residues per second of the full network, from text to vectors in memory."""
    set_matmul_precision(precision)
    engine = engine_for(FULL, precision, CUDA)
    sequences = proteins(count)
    residues = sum(len(sequence.residues) for sequence in sequences)
    list(engine.embed(proteins(200)))
    taken = seconds(lambda: list(engine.embed(sequences)), CUDA)
    achieved = FULL.operations(tokens_of(sequences)) / taken
    whole = product_rate(DTYPE_OF_PRECISION[precision], CUDA, 8192)
    row("a", f"{FULL.name}, {precision}", f"{achieved / whole:.2f} of {whole / 1e12:,.0f} TFLOP/s")
    found = f"{residues / taken:,.0f} residues/s, {engine.budget:,} tokens a batch, {peak_memory(CUDA) / 1e9:.1f} GB"
    row("", f"{FULL.name}, {precision}, {residues:,} residues", found)
    return residues / taken


def ways_of_attention() -> Iterator[tuple[str, float]]:
    """Yield the name and the milliseconds of three ways to compute one layer's attention for a ragged batch."""
    lengths = sorted(range(200, 460), reverse=True)
    heads, size = FULL.heads, FULL.config.head_size
    q, k, v = (torch.randn(sum(lengths), heads, size, device=CUDA, dtype=torch.bfloat16) for _ in range(3))
    bounds = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], device=CUDA, dtype=torch.int32)
    padded = [pad_sequence(x.split(lengths), True).transpose(1, 2) for x in (q, k, v)]
    valid = torch.arange(lengths[0], device=CUDA) < torch.tensor(lengths, device=CUDA)[:, None]

    def in_runs() -> None:
        for parts in zip(*(x.split(lengths) for x in (q, k, v)), strict=True):
            F.scaled_dot_product_attention(*(part[None].transpose(1, 2) for part in parts))

    ways = {
        "in runs, each of one sequence": in_runs,
        "packed with bounds": lambda: varlen_attn(q, k, v, bounds, bounds, lengths[0], lengths[0]),
        "padded with a mask": lambda: F.scaled_dot_product_attention(*padded, attn_mask=valid[:, None, None, :]),
    }
    with torch.inference_mode():
        for name, way in ways.items():
            way()
            yield name, 1e3 * statistics.median(seconds(way, CUDA) for _ in range(10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proteins", type=int, default=20_000)
    parser.add_argument("--nucleotides", type=int, default=100_000, help="length of the sequence embedded in one pass")
    arguments = parser.parse_args()
    started = time.perf_counter()
    heading(CUDA)
    shares = {"bfloat16": 1, "tfloat32": 2, "float32": 10}
    rates = {precision: rate(precision, arguments.proteins // share) for precision, share in shares.items()}
    set_matmul_precision("float32")
    few = proteins(30)
    loop = plain_loop(FULL, few, CUDA)
    loop()
    plain = sum(len(sequence.residues) for sequence in few) / seconds(loop, CUDA)
    for precision, found in rates.items():
        name = f"{FULL.name}, {precision}"
        row("b", name, f"{found / plain:.1f} times a plain float32 loop, {plain:,.0f} residues/s")
    del loop
    torch.cuda.empty_cache()
    engine = engine_for(FULL, "bfloat16", CUDA)
    gene = NormalisedSequence("0" * 64, "gene", "ACGT" * (arguments.nucleotides // 4))
    torch.cuda.reset_peak_memory_stats()
    taken = seconds(lambda: list(engine.embed([gene])), CUDA)
    row("f", f"{len(gene.residues):,} nucleotides in one pass", f"{taken:.1f} s, {peak_memory(CUDA) / 1e9:.1f} GB")
    for name, milliseconds in ways_of_attention():
        row("", f"attention of one layer, 260 proteins of different lengths, {name}", f"{milliseconds:.2f} ms")
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
