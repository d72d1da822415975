"""Networks with random weights and real proteins, and functions that time them.

The proteins are in resources/demo/subcellular.csv, 68 to 593 residues long. Further proteins are rotations of these, up
to 30 residues shorter: different sequences of similar length and composition.
"""

from __future__ import annotations

import csv
import itertools
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from plain_lucaone import PlainLucaOne
from torch import nn

from lucaflow.encoders.lucaone import VOCABULARY, EncoderConfig, LucaOne
from lucaflow.encoders.onednn import PackedLinear, can_pack, pack
from lucaflow.engine.devices import DTYPE_OF_PRECISION, device_name
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sequences import NormalisedSequence

PROTEINS = Path(__file__).resolve().parents[2] / "resources/demo/subcellular.csv"


@dataclass(frozen=True)
class Shape:
    """The size of a network."""

    name: str
    layers: int
    hidden_size: int
    heads: int

    @property
    def config(self) -> EncoderConfig:
        return EncoderConfig(
            num_hidden_layers=self.layers, hidden_size=self.hidden_size, num_attention_heads=self.heads,
            no_position_embeddings=True, token_dropout=False, use_embed_layer_norm=False,
        )  # fmt: skip

    def operations(self, lengths: Sequence[int]) -> float:
        """Return the floating-point operations of embedding: two per token and weight, and those of attention."""
        products = sum(lengths) * 2 * 12 * self.hidden_size**2
        attention = sum(4 * length**2 * self.hidden_size for length in lengths)
        return float(self.layers * (products + attention))


FULL = Shape("LucaOne", 20, 2560, 40)
FULL_WIDTH = Shape("two layers of LucaOne's", 2, 2560, 40)
MEDIUM = Shape("512 wide, 8 layers", 8, 512, 8)
MINI = Shape("mini: 128 wide, 6 layers", 6, 128, 4)


def options(precision: str = "float32", outputs: tuple[str, ...] = ("mean",)) -> EmbeddingOptions:
    return EmbeddingOptions(precision=precision, outputs=outputs)


def linears(block: nn.Module) -> list[nn.Linear]:
    return [module for module in block.modules() if isinstance(module, nn.Linear)]


def random_encoder(shape: Shape, device: torch.device) -> LucaOne:
    """Return a network with random, unpacked weights in float32."""
    torch.manual_seed(0)
    with device:
        encoder = LucaOne(shape.config)
        for table in (encoder.embed_tokens, encoder.embed_type):
            nn.init.normal_(table.weight)
        half = shape.config.head_size // 2
        for block in encoder.layers:
            block.self_attn.inv_freq = 10000.0 ** (-torch.arange(half) / half)
    return encoder.eval().requires_grad_(False)


def prepare(encoder: LucaOne, precision: str) -> LucaOne:
    """Change a network to the precision and packing of a loaded checkpoint."""
    for block in encoder.layers:
        for linear in linears(block):
            linear.to(DTYPE_OF_PRECISION[precision])
        if can_pack() and next(block.parameters()).device.type == "cpu":
            pack(block)
    return encoder


def proteins(count: int) -> list[NormalisedSequence]:
    """Return `count` proteins, the longest first, as in a shard; a small count samples evenly from all lengths."""
    with PROTEINS.open(newline="") as file:
        real = sorted((row["sequence"] for row in csv.DictReader(file)), key=len, reverse=True)
    if count < len(real):
        real = real[:: len(real) // count][:count]
    turned = (
        (text[turn % len(text) :] + text[: turn % len(text)], turn) for turn in itertools.count() for text in real
    )
    cut = (text[: len(text) - 7 * turn % 31] for text, turn in turned)
    residues = sorted(itertools.islice(cut, count), key=len, reverse=True)
    return [NormalisedSequence(digest_of("prot", text), "prot", text) for text in residues]


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of a function, including the work it started on a GPU."""
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def alternated(
    one: Callable[[], object], other: Callable[[], object], rounds: int, device: torch.device
) -> tuple[float, float]:
    """Time two functions in turn; return the median seconds of the first, and the median of the ratio other / one."""
    pairs = [(seconds(one, device), seconds(other, device)) for _ in range(rounds)]
    return statistics.median(first for first, _ in pairs), statistics.median(second / first for first, second in pairs)


def product_rate(dtype: torch.dtype, device: torch.device, size: int = 4096) -> float:
    """Return the operations per second of torch's fastest product of two large square matrices of a type."""
    x = torch.randn(size, size, device=device, dtype=dtype)
    linear = nn.Linear(size, size, device=device, dtype=dtype).requires_grad_(False)
    ways: list[Callable[[], object]] = [lambda: x @ x, lambda: linear(x)]
    if device.type == "cpu" and can_pack():
        packed = PackedLinear(linear)
        ways.append(lambda: packed(x))
    repeat = 1 if device.type == "cpu" else 20

    def repeated(way: Callable[[], object]) -> None:
        for _ in range(repeat):
            way()

    with torch.inference_mode():
        best = min(seconds(partial(repeated, way), device) for _ in range(5) for way in ways)
    return 2.0 * size**3 * repeat / best


def engine_for(shape: Shape, precision: str, device: torch.device) -> Engine:
    encoder = prepare(random_encoder(shape, device), precision)
    return Engine.sized(encoder, options(precision), device, "auto")


def plain_loop(shape: Shape, sequences: list[NormalisedSequence], device: torch.device) -> Callable[[], None]:
    """Return a function that embeds sequences one at a time, as LucaOneApp does, and computes their means."""
    plain = PlainLucaOne(shape.config, random_encoder(shape, device).state_dict())

    def loop() -> None:
        for sequence in sequences:
            ids = torch.from_numpy(VOCABULARY.encode(sequence.residues, "prot")).to(device)[None]
            hidden, _ = plain(ids, torch.ones_like(ids))
            hidden[0, 1:-1].mean(0).cpu().numpy()

    return loop


def tokens_of(sequences: list[NormalisedSequence]) -> list[int]:
    return [len(sequence.residues) + VOCABULARY.special_tokens for sequence in sequences]


def row(letter: str, what: str, found: str) -> None:
    """Print a row of the table."""
    print(f"| {letter} | {what} | {found} |", flush=True)


def heading(device: torch.device) -> None:
    """Print the device, and the head of the table."""
    print(f"torch {torch.__version__}, {device_name(device)}, {platform.machine()}, {torch.get_num_threads()} threads")
    print("\n| | what | found |\n|---|---|---|", flush=True)
