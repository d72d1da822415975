"""How many residues a second does the full network embed, and what share of the GPU's rate is that?"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import networks
import torch
from cases import SMALL, arithmetic, proteins

from lucaflow.engine.devices import DTYPE_OF_PRECISION, peak_memory
from lucaflow.engine.engine import Engine
from lucaflow.records.sequences import NormalisedSequence

PROTEINS = 8000
_MOST_SECONDS = 40


def shape_for(device: torch.device) -> networks.Shape:
    return networks.FULL if device.type == "cuda" else SMALL


def residues_of(sequences: list[NormalisedSequence]) -> int:
    return sum(len(sequence.residues) for sequence in sequences)


def rate(engine: Engine, sequences: list[NormalisedSequence]) -> float:
    """Return the residues per second, from text to vectors in memory."""
    return residues_of(sequences) / networks.seconds(lambda: list(engine.embed(sequences)), engine.device)


def full_network(precision: str, device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the rate of the full network, with fewer proteins on a slow device."""
    with arithmetic(precision, device):
        shape = shape_for(device)
        engine = networks.engine_for(shape, precision, device)
        few = networks.proteins(200 if device.type == "cuda" else 20)
        rate(engine, few)
        affordable = _MOST_SECONDS * rate(engine, few) / 330
        sequences = networks.proteins(min(PROTEINS if device.type == "cuda" else 40, int(affordable)))
        found = rate(engine, sequences)
        tokens = networks.tokens_of(sequences)
        whole = networks.product_rate(DTYPE_OF_PRECISION[precision], device, 8192 if device.type == "cuda" else 512)
    achieved = shape.operations(tokens) * found / residues_of(sequences)
    name = f"{shape.name}, {precision}, {len(sequences):,} proteins"
    yield name, f"{found:,.0f} residues/s", True
    yield "", f"{achieved / whole:.2f} of {whole / 1e12:,.1f} TFLOP/s, a large product's rate", True
    yield "", f"{engine.budget:,} tokens a batch, {peak_memory(device) / 1e9:.1f} GB", True


def in_bfloat16(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    return full_network("bfloat16", device)


def in_tfloat32(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    return full_network("tfloat32", device)


def few_runs_against_many(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the rate of batches of few and of many different lengths, of the full network and of a small one."""
    on_gpu = device.type == "cuda"
    for shape in (shape_for(device), networks.MINI):
        precision = "bfloat16"
        with arithmetic(precision, device):
            engine = networks.engine_for(shape, precision, device)
            lengths = list(range(460, 200, -1) if on_gpu else range(90, 60, -1))
            equal = [sum(lengths) // len(lengths)] * len(lengths)
            many, few = proteins(lengths), proteins(equal)
            for sequences in (many, few):
                rate(engine, sequences)
            pairs = [(rate(engine, few), rate(engine, many)) for _ in range(3)]
        one, other = (statistics.median(rates) for rates in zip(*pairs, strict=True))
        name = f"{shape.name}, {len(lengths)} proteins of one length, and of {len(lengths)} lengths"
        yield name, f"{one:,.0f} and {other:,.0f} residues/s: {other / one:.2f}", True


def real_proteins(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the rate of a dataset of a thousand proteins, whose batches have many lengths."""
    shape = shape_for(device)
    with arithmetic("bfloat16", device):
        engine = networks.engine_for(shape, "bfloat16", device)
        sequences = networks.proteins(1000 if device.type == "cuda" else 40)
        rate(engine, sequences[:20])
        yield f"{shape.name}, {len(sequences):,} proteins", f"{rate(engine, sequences):,.0f} residues/s", True


def one_pass(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the time and memory of a long sequence of nucleotides in one pass, in bfloat16."""
    shape, length = shape_for(device), 100_000 if device.type == "cuda" else 1000
    with arithmetic("bfloat16", device):
        engine = networks.engine_for(shape, "bfloat16", device)
        gene = NormalisedSequence("0" * 64, "gene", "ACGT" * (length // 4))
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        taken = networks.seconds(lambda: list(engine.embed([gene])), device)
    yield (
        f"{shape.name}, {length:,} nucleotides in one pass",
        f"{taken:.1f} s, {peak_memory(device) / 1e9:.1f} GB",
        True,
    )
