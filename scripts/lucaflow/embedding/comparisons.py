"""Measure on a user's own sequences how much a lower precision, or dividing a long sequence, changes the values.

Rows of matrices are compared with those of a reference: float32 for precisions, one pass for windows.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lucaflow.checkpoints.converted_checkpoint import converted_folder
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.engine.devices import DTYPE_OF_PRECISION, resolve_device, set_matmul_precision, supports_precision
from lucaflow.engine.engine import Engine
from lucaflow.engine.gpus import take_gpu
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.engine.windows import Window, Windowing
from lucaflow.errors import ConfigError
from lucaflow.records.sequences import NormalisedSequence, SequenceIndex
from lucaflow.records.table import accepted_records

# The matrices of a sample are all in memory, some of them twice. 50,000 rows of LucaOne's width are half a gigabyte.
MOST_SEQUENCES = 32
MOST_RESIDUES = 50_000
REFERENCE = "float32"
STORED = "float16 (stored)"
AGREEMENT = (
    "precision", "digest", "length", "mean_cosine", "mean_relative_error", "lowest_row_cosine", "matrix_relative_error",
)  # fmt: skip
OVERLAP = "lucaone, overlap"
NO_OVERLAP = "lucaone, no overlap"
NO_OVERLAP_SAME_COST = "lucaone, no overlap, longer windows"
CENTERED = "centered"


@dataclass(frozen=True)
class ComparisonSetup:
    """The converted checkpoint, the device and the tokens per batch (as in the configuration) of a comparison."""

    checkpoint: Path
    device: torch.device
    tokens_per_batch: int | str

    @classmethod
    def from_config(cls, config: Mapping[str, Any], model: Model, clone: Path) -> ComparisonSetup:
        """Return the setup of a resolved configuration. Wait for a free GPU if other jobs use them all."""
        device = take_gpu(resolve_device(config["compute"]["device"], config["embedding"]["precision"]))
        folder = converted_folder(model, config["checkpoints"], clone)
        return cls(folder, device, config["compute"]["tokens_per_batch"])

    def engine(self, options: EmbeddingOptions) -> Engine:
        """Return an engine for the options, with matrix products in their precision."""
        set_matmul_precision(options.precision)
        encoder = load_encoder(self.checkpoint, self.device, DTYPE_OF_PRECISION[options.precision])
        return Engine.sized(encoder, options, self.device, self.tokens_per_batch)


def choose_sample(lengths: np.ndarray, shortest: int = 1) -> np.ndarray:
    """Choose a sample of the sequences of at least `shortest` residues; return their indices, longest first.

    The sample has at most MOST_SEQUENCES sequences and MOST_RESIDUES residues, spread evenly over the sorted lengths.
    The longest sequences are left out only if not even two sequences fit. The sample is empty if every sequence is too
    long.
    """
    order = np.argsort(lengths, kind="stable")
    order = order[(lengths[order] >= shortest) & (lengths[order] <= MOST_RESIDUES)]
    while len(order) > 1:
        for count in range(MOST_SEQUENCES, 1, -1):
            chosen = order[np.unique(np.linspace(0, len(order) - 1, count).astype(np.int64))]
            if lengths[chosen].sum() <= MOST_RESIDUES:
                return chosen[::-1]
        order = order[: len(order) * 9 // 10]
    return order


def read_sample(path: Path, index: SequenceIndex, rows: np.ndarray) -> list[NormalisedSequence]:
    """Read the sequences of the given rows of an index from their FASTA file `path`."""
    found = []
    with path.open("rb") as handle:
        for row in rows.tolist():
            handle.seek(int(index.start[row]))
            header, residues = handle.readline().decode().split(), handle.readline().decode().strip()
            found.append(NormalisedSequence(header[0][1:], header[1], residues))
    return found


def first_ids(records: Path, digests: Sequence[str]) -> dict[str, str]:
    """Return the first id of each digest in records.tsv."""
    ids: dict[str, str] = {}
    for accepted in accepted_records(records, ["id", "digest"]):
        wanted = accepted[accepted["digest"].isin(digests)]
        for digest, identifier in zip(wanted["digest"], wanted["id"], strict=True):
            ids.setdefault(digest, identifier)
    return ids


def relative_distances(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the distance (n,) between rows (n, H) and the reference's rows, relative to the latter's lengths."""
    return np.linalg.norm(found - reference, axis=-1) / np.linalg.norm(reference, axis=-1)


def cosines(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the cosine (n,) between rows (n, H) and the reference's rows, in double precision."""
    a, b = found.astype(np.float64), reference.astype(np.float64)
    return (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


def compare_precisions(
    setup: ComparisonSetup, options: EmbeddingOptions, sequences: Sequence[NormalisedSequence]
) -> pd.DataFrame:
    """Embed sequences in float32 and in each other precision that the device supports; return their agreement.

    The table has a row for each precision and sequence. For the pooled mean: its cosine with the float32 mean and its
    relative error. For the matrix: the lowest cosine of a row and the relative error of all rows together.
    `float16 (stored)` is computed in float32 and rounded to float16.
    """
    plain = replace(options, outputs=("matrix",), matrix_add_special_token=False, dtype="float32")
    reference = setup.engine(replace(plain, precision=REFERENCE)).matrices(sequences)
    rows = [_agreement(STORED, *pair, _rounded_to_float16(pair[1])) for pair in zip(sequences, reference, strict=True)]
    for precision in DTYPE_OF_PRECISION:
        if precision == REFERENCE or not supports_precision(setup.device, precision):
            continue
        found = setup.engine(replace(plain, precision=precision)).matrices(sequences)
        rows += [_agreement(precision, *parts) for parts in zip(sequences, reference, found, strict=True)]
    return pd.DataFrame(rows, columns=AGREEMENT)


def _rounded_to_float16(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def _agreement(
    precision: str, sequence: NormalisedSequence, reference: np.ndarray, found: np.ndarray
) -> tuple[str, str, int, float, float, float, float]:
    means = found.mean(0, keepdims=True), reference.mean(0, keepdims=True)
    return (
        precision,
        sequence.digest,
        len(sequence.residues),
        float(cosines(*means)[0]),
        float(relative_distances(*means)[0]),
        float(cosines(found, reference).min()),
        float(np.linalg.norm(found - reference) / np.linalg.norm(reference)),
    )


@dataclass(frozen=True)
class Division:
    """A way to divide a sequence of `length` residues into windows, and its costs."""

    name: str
    windowing: Windowing
    length: int

    @cached_property
    def windows(self) -> list[Window]:
        return self.windowing.windows(self.length)

    @property
    def tokens(self) -> int:
        """The tokens that go through the network; the cost of its matrix products is proportional to them."""
        return sum(window.length + Vocabulary.special_tokens for window in self.windows)

    @property
    def pairs(self) -> int:
        """The pairs of tokens within windows; the cost of attention is proportional to them."""
        return sum((window.length + Vocabulary.special_tokens) ** 2 for window in self.windows)


def compared_divisions(length: int, size: int) -> list[Division]:
    """Return the divisions to compare for a sequence of `length` residues: with windows of `size`, and at equal cost.

    Without overlap, each residue is computed once instead of twice. So that division is also compared with longer
    windows, for which the cost of attention is as close as possible to that of `centered`.
    """

    def side_by_side(name: str, window: int) -> Division:
        return Division(
            name, Windowing(embedding_fixed_len_a_time=window, embedding_complete_seg_overlap=False), length
        )

    def pairs_without_overlap(window: int) -> int:
        return side_by_side("", window).pairs

    centered = Division(CENTERED, Windowing(embedding_fixed_len_a_time=size, stitching="centered"), length)
    sizes = range(size, length)
    # Longer windows have more pairs, with exceptions for a window or two. The closest is near the crossing point.
    crossing = bisect.bisect_left(sizes, centered.pairs, key=pairs_without_overlap)
    near = sizes[max(0, crossing - 2) : crossing + 2]
    longer = min(near, key=lambda window: abs(pairs_without_overlap(window) - centered.pairs))
    return [
        Division(OVERLAP, Windowing(embedding_fixed_len_a_time=size), length),
        side_by_side(NO_OVERLAP, size),
        side_by_side(NO_OVERLAP_SAME_COST, longer),
        centered,
    ]


def compare_stitchings(
    setup: ComparisonSetup, options: EmbeddingOptions, sequences: Sequence[NormalisedSequence]
) -> pd.DataFrame:
    """Embed long sequences in one pass and in windows of several divisions; return their distances and costs.

    Windows start from the first residue, as with `trunc_type: right`.
    The table has a row for each sequence, division and residue (counted from 1). `distance` is that between the
    residue's row and its one-pass row, relative to the length of the latter. `windows`, `tokens` and `pairs` are the
    division's costs. Raises ConfigError if embedding_fixed_len_a_time is not set.
    """
    size = options.embedding_fixed_len_a_time
    if size is None:
        raise ConfigError(
            "embedding.embedding_fixed_len_a_time is not set, so there are no windows to compare. Set it to the "
            "residues of a window."
        )
    plain = replace(options, outputs=("matrix",), matrix_add_special_token=False, embedding_complete=True)
    engine = setup.engine(replace(plain, embedding_fixed_len_a_time=None))
    if not engine.encoder.vocabulary.rows_are_residues:
        raise ConfigError(
            "rows of this network cover several letters, other ones in each window, so that rows of windows and of "
            "one pass cannot be compared residue by residue. Remove the dataset, or give it another model "
            "(--keep-going compares the others)."
        )
    tables = []
    for sequence, reference in zip(sequences, engine.matrices(sequences), strict=True):
        for division in compared_divisions(len(sequence.residues), size):
            windowed = replace(engine.options, **asdict(division.windowing))
            (found,) = Engine(engine.encoder, windowed, setup.device, engine.budget).matrices([sequence])
            tables.append(_distance_table(sequence, division, relative_distances(found, reference)))
    return pd.concat(tables, ignore_index=True)


def _distance_table(sequence: NormalisedSequence, division: Division, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "digest": sequence.digest,
            "division": division.name,
            "residue": np.arange(1, len(values) + 1),
            "distance": values,
            "windows": len(division.windows),
            "tokens": division.tokens,
            "pairs": division.pairs,
        }
    )


def summarise_costs(rows: pd.DataFrame) -> pd.DataFrame:
    """Summarise a comparison of divisions: the distances over all rows, and the costs relative to one pass."""
    lengths = rows.groupby("digest")["residue"].max()
    one_pass = (lengths + Vocabulary.special_tokens).sum(), ((lengths + Vocabulary.special_tokens) ** 2).sum()
    by_division = rows.groupby("division", sort=False)
    spent = rows.drop_duplicates(["digest", "division"]).groupby("division", sort=False)[["windows", "tokens", "pairs"]]
    table = by_division["distance"].describe(percentiles=[0.5, 0.95])[["mean", "50%", "95%", "max"]]
    table.columns = [f"distance_{name}" for name in ("mean", "median", "95_percent", "largest")]
    sums = spent.sum()
    return table.assign(
        windows=sums["windows"],
        tokens_relative=sums["tokens"] / one_pass[0],
        pairs_relative=sums["pairs"] / one_pass[1],
    ).reset_index()
