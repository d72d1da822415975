"""Peak memory and time of one pass against the length of a sequence: it grows linearly.

    python tests/benchmarks/memory.py 1000 2000 4000 8000 16000

Layers of LucaOne's full width with random weights, on the CPU, each length in a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lucaflow.devices import ARITHMETIC, peak_memory
from lucaflow.encoder import Encoder, EncoderConfig
from lucaflow.engine import Engine
from lucaflow.products import pack
from lucaflow.sequences import NormalisedSequence
from lucaflow.settings import EmbeddingOptions

OPTIONS = EmbeddingOptions(
    outputs=("mean",), layer=None, matrix_add_special_token=False, embedding_complete=True, truncation_seq_length=1,
    trunc_type="right", embedding_fixed_len_a_time=None, embedding_complete_seg_overlap=True, stitching="lucaone",
    precision="float32", dtype="float32",
)  # fmt: skip
HIDDEN_SIZE, HEADS = 2560, 40


def random_encoder(layers: int, precision: str) -> Encoder:
    """Return a network of the full width with random weights."""
    encoder = Encoder(EncoderConfig(
        num_hidden_layers=layers, hidden_size=HIDDEN_SIZE, num_attention_heads=HEADS,
        no_position_embeddings=True, token_dropout=False, use_embed_layer_norm=False,
    ))  # fmt: skip
    for block in encoder.layers:
        block.self_attn.inv_freq = 10000.0 ** (-torch.arange(32) / 32)
        for linear in (block.self_attn.qkv_proj, block.self_attn.out_proj, block.fc1, block.fc2):
            linear.to(ARITHMETIC[precision])
        pack(block)
    return encoder.eval().requires_grad_(False)


def embed(residues: int, layers: int, precision: str) -> None:
    """Embed one sequence; print the memory before it, the peak, and the seconds."""
    device = torch.device("cpu")
    engine = Engine(random_encoder(layers, precision), OPTIONS, device, budget=1)
    sequence = NormalisedSequence("0" * 64, "gene", ("ACGT" * (residues // 4 + 1))[:residues])
    before = peak_memory(device)
    started = time.perf_counter()
    list(engine.embed([sequence]))
    print(before, peak_memory(device), time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("residues", type=int, nargs="*", default=[1000, 2000, 4000, 8000, 16000])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--alone", action="store_true", help="embed in this process")
    arguments = parser.parse_args()
    if arguments.alone:
        embed(arguments.residues[0], arguments.layers, arguments.precision)
        return
    print(f"{arguments.layers} layers, {arguments.precision}")
    print("| residues | seconds | peak memory | above the weights | kB a residue |\n|---|---|---|---|---|")
    for residues in arguments.residues:
        command = [sys.executable, __file__, str(residues), "--alone"]
        command += ["--layers", str(arguments.layers), "--precision", arguments.precision]
        before, peak, seconds = map(float, subprocess.run(command, check=True, capture_output=True).stdout.split())
        more = peak - before
        sizes = f"{peak / 1e9:.2f} GB | {more / 1e9:.2f} GB | {more / residues / 1e3:.0f}"
        print(f"| {residues:,} | {seconds:.1f} | {sizes} |", flush=True)


if __name__ == "__main__":
    main()
