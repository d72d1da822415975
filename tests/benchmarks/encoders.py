"""Measure ESM-2 and DNABERT-2 against the usual way, with padding, as ratios of time and of peak memory.

    python tests/benchmarks/encoders.py

Both have the same random weights in float32, sequences and threads; the usual way takes batches of 16 of similar length
(tests/support/plain_padded.py). Memory is what a process of its own takes beyond the weights.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from networks import alternated, heading, options, prepare, proteins, row
from plain_padded import BATCH, PaddedDnabert2, PaddedEsm2

from lucaflow.encoders.byte_pairs import canonical_content
from lucaflow.encoders.dnabert2 import Dnabert2, Dnabert2Config
from lucaflow.encoders.esm2 import Esm2, architecture
from lucaflow.encoders.families import FAMILIES
from lucaflow.engine.devices import peak_memory
from lucaflow.engine.engine import Engine
from lucaflow.files.json_files import parse_json
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sequences import NormalisedSequence

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]
# Of a number of a mean vector, by the two ways.
LARGEST_DIFFERENCE = 1e-4
# Family, number of layers, width, heads, and batches of sequences that are embedded.
SHAPES = {
    "ESM-2 8M": ("esm2", 6, 320, 20, 4),
    "ESM-2 35M": ("esm2", 12, 480, 20, 3),
    "ESM-2 650M, two layers": ("esm2", 2, 1280, 20, 3),
    "DNABERT-2, two layers": ("dnabert", 2, 768, 12, 3),
}
PADDED = {"esm2": PaddedEsm2, "dnabert": PaddedDnabert2}


def random_network(family: str, layers: int, width: int, heads: int) -> Esm2 | Dnabert2:
    """Return a network with random, unpacked weights in float32. Byte pairs are of a small recorded vocabulary."""
    torch.manual_seed(0)
    if family == "esm2":
        config = architecture(layers, width, heads)
    else:
        tokenizer = parse_json(ROOT / "tests/golden/encoders/checkpoints/D2/tokenizer.json")
        config = Dnabert2Config(
            num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width,
            vocab_size=len(tokenizer["model"]["vocab"]), tokenizer=canonical_content(tokenizer),
        )  # fmt: skip
    encoder = FAMILIES[family](config)
    for module in encoder.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
    if isinstance(encoder, Esm2):
        half = config.head_size // 2
        for block in encoder.layers:
            block.self_attn.inv_freq = 10000.0 ** (-torch.arange(half) / half)
    return encoder.eval().requires_grad_(False)


def genes(count: int) -> list[NormalisedSequence]:
    """Return parts of the 16S genes of the demonstration, 200 to 1,400 nucleotides long, the longest first."""
    with (ROOT / "resources/demo/16S_genes.csv").open(newline="") as file:
        whole = [record["sequence"].upper() for record in csv.DictReader(file)]
    texts = [whole[each % len(whole)][: 200 + 1200 * each // count] for each in range(count)]
    return [NormalisedSequence(digest_of("gene", text), "gene", text) for text in sorted(texts, key=len, reverse=True)]


def ways(name: str) -> dict[str, Callable[[], list[Tensor]]]:
    """Return the two ways to embed the sequences of a shape, in the same order, by their names."""
    family, *size, batches = SHAPES[name]
    encoder = random_network(family, *size)
    sequences = proteins(BATCH * batches) if family == "esm2" else genes(BATCH * batches)
    padded = PADDED[family](encoder.config, {name: value.clone() for name, value in encoder.state_dict().items()})
    tokens = [torch.from_numpy(encoder.vocabulary.encode(each.residues, each.seq_type)).long() for each in sequences]
    order = sorted(range(len(tokens)), key=lambda each: -len(tokens[each]))
    engine = Engine.sized(prepare(encoder, "float32"), options(), CPU, "auto")

    def packed() -> list[Tensor]:
        vectors: dict[int, Tensor] = {}
        for batch in engine.embed(sequences):
            vectors |= dict(zip(batch.sequences.tolist(), map(torch.from_numpy, batch.vectors["mean"]), strict=True))
        return [vectors[each] for each in range(len(sequences))]

    def by_length() -> list[Tensor]:
        means = dict(zip(order, padded.means([tokens[each] for each in order], pad=1), strict=True))
        return [means[each] for each in range(len(tokens))]

    return {"packed": packed, "padded": by_length}


def extra_memory(name: str, way: str) -> float:
    """Return the bytes that a process of its own takes to embed with a way, beyond the network."""
    command = [sys.executable, __file__, "--shape", name, "--way", way, "--threads", str(torch.get_num_threads())]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def embed_alone(name: str, way: str) -> None:
    """Print what `extra_memory` returns. The first sequences alone bring the libraries into memory."""
    function = ways(name)[way]
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    function()
    print(peak_memory(CPU) - 1024 * int(line.split()[1]))


def measure(rounds: int) -> None:
    """Print (g), the time of the usual way over the engine's, and (h), the same of memory, for each shape."""
    for name in SHAPES:
        both = ways(name)
        found = zip(both["packed"](), both["padded"](), strict=True)
        difference = max(float((one - other).abs().max()) for one, other in found)
        assert difference < LARGEST_DIFFERENCE, f"{name}: the two ways differ by {difference:g}"
        taken, ratio = alternated(both["packed"], both["padded"], rounds, CPU)
        row("g", name, f"{ratio:.2f} times batches of {BATCH} with padding, {taken:.1f} s")
    for name in SHAPES:
        packed, padded = (extra_memory(name, way) for way in ("packed", "padded"))
        row("h", name, f"{packed / 1e6:,.0f} MB, with padding {padded / 1e6:,.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--shape", choices=SHAPES, help="measure the memory of this shape alone")
    parser.add_argument("--way", choices=("packed", "padded"), default="packed")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.shape:
        embed_alone(arguments.shape, arguments.way)
        return
    heading(CPU)
    measure(arguments.rounds)


if __name__ == "__main__":
    main()
