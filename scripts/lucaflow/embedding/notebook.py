"""Embed a few sequences in a notebook. For many sequences, or to store the results, use the workflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lucaflow.encoders.lucaone import Encoder
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import VECTORS, EmbeddingOptions
from lucaflow.errors import ConfigError, InputError, quoted
from lucaflow.records.outcomes import Normaliser, Policies
from lucaflow.records.readers import RawRecord
from lucaflow.records.sequences import NormalisedSequence

OUTPUTS = ("matrix", *VECTORS)


def embed(
    encoder: Encoder,
    sequences: Mapping[str, str],
    seq_type: str,
    outputs: str | Iterable[str] = "mean",
    layer: int | None = None,
) -> dict[str, Any]:
    """Return the embeddings of sequences by their ids. The values are those of the workflow, in one pass per sequence.

    sequences: residues by id. seq_type: `gene` (DNA and RNA) or `prot`.
    outputs: `mean`, `max` or `cls`, arrays (H,), or `matrix`, (L, H). For one output, each id gets an array; for a list
    of outputs, each id gets a mapping from output to array.
    layer: None for the last layer, after the final norm.
    Raises InputError for a sequence that the workflow would refuse, and ConfigError for an unknown output or type.

    >>> (folder,) = Path("resources/checkpoints").glob("mini-1-*")
    >>> vectors = embed(load_encoder(folder), {"P12345": "MKVLAWRRKLAW", "P2": "MWWKKLLA"}, "prot")
    >>> vectors["P12345"].shape
    (128,)
    """
    wanted = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    if unknown := set(wanted) - set(OUTPUTS):
        raise ConfigError(f"outputs: expected some of {', '.join(OUTPUTS)}, not {', '.join(sorted(unknown))}")
    normalised = _normalise(sequences, seq_type)
    distinct = sorted(dict.fromkeys(normalised.values()), key=lambda sequence: -len(sequence.residues))
    found = dict(zip(distinct, _embed_distinct(encoder, distinct, wanted, layer), strict=True))
    if isinstance(outputs, str):
        return {identifier: found[sequence][outputs] for identifier, sequence in normalised.items()}
    return {identifier: dict(found[sequence]) for identifier, sequence in normalised.items()}


def _normalise(sequences: Mapping[str, str], seq_type: str) -> dict[str, NormalisedSequence]:
    """Return the sequences by id, normalised with the workflow's default policies."""
    if seq_type not in ("gene", "prot"):
        raise ConfigError(f"seq_type: expected `gene` (DNA and RNA) or `prot`, not {seq_type!r}")
    normaliser = Normaliser(Policies())
    found = {}
    for number, (identifier, text) in enumerate(sequences.items(), start=1):
        outcome = normaliser.outcome(RawRecord(number, identifier, "", text), seq_type)
        if outcome.status != "accepted":
            raise InputError(f"sequence {number}, id {quoted(identifier)}: {outcome.reason}")
        found[identifier] = NormalisedSequence(outcome.digest, seq_type, outcome.sequence)
    return found


def _embed_distinct(
    encoder: Encoder, sequences: Sequence[NormalisedSequence], outputs: tuple[str, ...], layer: int | None
) -> list[dict[str, np.ndarray]]:
    """Return the arrays of each sequence by output, in the order of `sequences`."""
    options = EmbeddingOptions(outputs=outputs, layer=layer)
    engine = Engine.sized(encoder, options, encoder.embed_tokens.weight.device, "auto")
    found: list[dict[str, np.ndarray]] = [{} for _ in sequences]
    for batch in engine.embed(sequences):
        for piece in batch.pieces:
            found[piece.sequence]["matrix"] = piece.rows.copy()
        for output, vectors in batch.vectors.items():
            for sequence, vector in zip(batch.sequences.tolist(), vectors, strict=True):
                found[sequence][output] = vector.copy()
    return found
