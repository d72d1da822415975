"""A network with a few thousand random weights, and sequences for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from lucaflow.encoders.lucaone import EncoderConfig, LucaOne
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.engine.pooling import EmbeddedBatch
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sequences import NormalisedSequence

CONFIG = EncoderConfig(
    num_hidden_layers=2,
    hidden_size=16,
    num_attention_heads=2,
    no_position_embeddings=True,
    use_embed_layer_norm=False,
    token_dropout=False,
)


def options(**changed: Any) -> EmbeddingOptions:
    return EmbeddingOptions(**{"outputs": ("mean", "max", "cls", "matrix"), **changed})


def network(device: torch.device) -> LucaOne:
    """Return the network in float32, with unpacked weights."""
    torch.manual_seed(0)
    encoder = LucaOne(CONFIG)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    for block in encoder.layers:
        block.self_attn.inv_freq = 10000.0 ** (-torch.arange(4) / 4)
    return encoder.to(device).eval().requires_grad_(False)


def sequences(*residues: str, seq_type: str = "prot") -> list[NormalisedSequence]:
    return [NormalisedSequence(digest_of(seq_type, text), seq_type, text) for text in residues]


SOME = sequences("MKVLAWRRKLAWQE" * 3, "MKVLAWRRKLAWQE", "MKV", "WW", "M")


def assembled(batches: Iterable[EmbeddedBatch]) -> list[np.ndarray]:
    """Assemble matrices from their pieces; assert that each row is present exactly once."""
    matrices: dict[int, np.ndarray] = {}
    for piece in (piece for batch in batches for piece in batch.pieces):
        shape = (piece.total_rows, piece.rows.shape[1])
        matrix = matrices.setdefault(piece.sequence, np.full(shape, np.nan, dtype=np.float32))
        rows = slice(piece.start_row, piece.start_row + len(piece.rows))
        assert np.isnan(matrix[rows]).all()
        matrix[rows] = piece.rows
    assert not any(np.isnan(matrix).any() for matrix in matrices.values())
    return [matrices[index] for index in sorted(matrices)]


def embedded(engine: Engine, some: Sequence[NormalisedSequence]) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Return the matrices and the vectors of all sequences."""
    batches = list(engine.embed(some))
    assert [index for batch in batches for index in batch.sequences] == list(range(len(some)))
    matrices = assembled(batches)
    vectors = {name: np.concatenate([batch.vectors[name] for batch in batches]) for name in batches[0].vectors}
    return matrices, vectors
