"""Embed a few sequences in a notebook. For many sequences, or to store the results, use the workflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lucaflow.encoders.arithmetic import arithmetic
from lucaflow.encoders.interface import Encoder
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import OUTPUTS as OUTPUTS_OF_ENGINE
from lucaflow.engine.options import VECTORS, EmbeddingOptions
from lucaflow.errors import ConfigError, InputError, quoted
from lucaflow.records.outcomes import Normaliser, Policies
from lucaflow.records.readers import RawRecord
from lucaflow.records.seq_types import SEQ_TYPES
from lucaflow.records.sequences import NormalisedSequence

# Which letters the rows of byte pairs cover.
SPANS = "spans"
OUTPUTS = ("matrix", *VECTORS, SPANS)


def embed(
    encoder: Encoder,
    sequences: Any,
    seq_type: str,
    outputs: str | Iterable[str] = "mean",
    layer: int | None = None,
) -> Any:
    """Return the embeddings of sequences. The values are those of the workflow, in one pass per sequence.

    sequences: residues by id, as a mapping (also a pandas Series) or as pairs (id, residues): the result is a dict by
    id. Or a list of residues: the result is a list in their order. Or the residues of one sequence: its own result.
    seq_type: `gene` (also `dna`, `rna`) or `prot` (also `protein`).
    outputs: `mean`, `max` or `cls`, arrays (H,), or `matrix`, (L, H). For one output, the result of a sequence is an
    array; for a list of outputs, it is a dict of arrays by output. A network of byte pairs, such as DNABERT-2, has a
    row for each of k tokens, (k, H); `spans`, (k, 2), has the first letter of each, from 0 on, and its end.
    layer: None for the last layer, after the final norm.
    torch's settings of precision do not matter, and are afterwards what they were.
    Raises InputError for a sequence that the workflow would refuse, and ConfigError for another kind of argument.

    >>> encoder = load_encoder("mini")
    >>> embed(encoder, {"P12345": "MKVLAWRRKLAW", "P2": "MWWKKLLA"}, "prot")["P12345"].shape
    (128,)
    >>> embed(encoder, "MKVLAWRRKLAW", "prot", "matrix").shape
    (12, 128)
    """
    if not isinstance(encoder, Encoder):
        found = type(encoder).__name__
        raise ConfigError(f'encoder: expected what load_encoder returns, such as load_encoder("mini"), not {found}')
    wanted = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    if unknown := set(wanted) - set(OUTPUTS):
        raise ConfigError(f"outputs: expected some of {', '.join(OUTPUTS)}, not {', '.join(sorted(map(str, unknown)))}")
    if SPANS in wanted and encoder.vocabulary.rows_are_residues:
        raise ConfigError("outputs: each row of this encoder is one residue, so there are no `spans`; leave them out")
    ids, texts = _ids_and_residues(sequences)
    normalised = normalised_sequences(ids, texts, readable_type(encoder, seq_type))
    distinct = sorted(dict.fromkeys(normalised), key=lambda sequence: -len(sequence.residues))
    found = dict(zip(distinct, _embed_distinct(encoder, distinct, wanted, layer), strict=True))
    results = [
        found[each][outputs] if isinstance(outputs, str) else {name: found[each][name] for name in wanted}
        for each in normalised
    ]
    if isinstance(sequences, str):
        return results[0]
    return results if ids is None else dict(zip(ids, results, strict=True))


def _ids_and_residues(sequences: Any) -> tuple[list[Any] | None, list[Any]]:
    """Return the ids, or None if there are none, and the residues. Raises ConfigError for what holds no sequences."""
    if isinstance(sequences, str):
        return None, [sequences]
    # A pandas Series has items, too.
    items = list(sequences.items() if hasattr(sequences, "items") else _items(sequences))
    if not hasattr(sequences, "items") and all(isinstance(item, str) for item in items):
        return None, items
    for item in items:
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise _not_sequences(sequences, f" with {quoted(item, 40)}")
    ids = [identifier for identifier, _ in items]
    for identifier, count in Counter(ids).items():
        if count > 1:
            raise InputError(f"id {quoted(identifier)} is there {count} times; ids must be unique")
    return ids, [residues for _, residues in items]


def _items(sequences: Any) -> Iterable[Any]:
    if not isinstance(sequences, Iterable):
        raise _not_sequences(sequences)
    return sequences


def _not_sequences(value: Any, with_item: str = "") -> ConfigError:
    return ConfigError(
        "sequences: expected residues (a string), a list of them, a dict {id: residues} or a list of pairs "
        f"(id, residues), not {type(value).__name__}{with_item}"
    )


def readable_type(encoder: Encoder, seq_type: str) -> str:
    """Return `gene` or `prot`. Raises ConfigError for another type, or one that the encoder does not read."""
    if str(seq_type).lower() not in SEQ_TYPES:
        raise ConfigError(f"seq_type: expected `gene` (DNA and RNA) or `prot`, not {seq_type!r}")
    readable, seq_type = encoder.vocabulary.seq_types, SEQ_TYPES[seq_type.lower()]
    if seq_type not in readable:
        raise ConfigError(f"seq_type: this encoder reads only {' and '.join(readable)} sequences, not {seq_type}")
    return seq_type


def normalised_sequences(ids: Sequence[Any] | None, texts: Sequence[Any], seq_type: str) -> list[NormalisedSequence]:
    """Return the sequences, normalised with the workflow's default policies."""
    normaliser = Normaliser(Policies())
    found = []
    for number, text in enumerate(texts, start=1):
        # The number is an id that the workflow accepts.
        identifier = str(number if ids is None else ids[number - 1])
        place = f"sequence {number}" + ("" if ids is None else f", id {quoted(identifier)}")
        if not isinstance(text, str):
            raise InputError(f"{place}: expected residues, a string, not {quoted(text, 40)}")
        outcome = normaliser.outcome(RawRecord(number, identifier, "", text), seq_type)
        if outcome.status != "accepted":
            raise InputError(f"{place}: {outcome.reason}")
        found.append(NormalisedSequence(outcome.digest, seq_type, outcome.sequence))
    return found


def _embed_distinct(
    encoder: Encoder, sequences: Sequence[NormalisedSequence], outputs: tuple[str, ...], layer: int | None
) -> list[dict[str, np.ndarray]]:
    """Return the arrays of each sequence by output, in the order of `sequences`."""
    needed = ("matrix", *outputs) if SPANS in outputs else outputs
    options = EmbeddingOptions(outputs=tuple(name for name in OUTPUTS_OF_ENGINE if name in needed), layer=layer)
    found: list[dict[str, np.ndarray]] = [{} for _ in sequences]
    with arithmetic(options.precision):
        engine = Engine.sized(encoder, options, encoder.device, "auto")
        for batch in engine.embed(sequences):
            for piece in batch.pieces:
                found[piece.sequence][piece.output] = piece.rows.copy()
            for output, vectors in batch.vectors.items():
                for sequence, vector in zip(batch.sequences.tolist(), vectors, strict=True):
                    found[sequence][output] = vector.copy()
    return found
