"""All scores of one sequence.

Letters in shapes: n tokens of the sequence (residues, or byte pairs), V tokens of the vocabulary, K letters of the
type, m variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lucaflow.errors import ConfigError
from lucaflow.scores.contacts import contact_map, influences
from lucaflow.scores.letters import Letters
from lucaflow.scores.likelihood import Positions, masked_log_probabilities
from lucaflow.scores.passes import OF_RESIDUES, LanguageModel, Tokens
from lucaflow.scores.variants import METHODS, Changes, scan, variant_scores

OUTPUTS = ("likelihood", "residues", "scan", "contacts")


@dataclass(frozen=True)
class ScoreRequest:
    """The scores to compute. outputs: of OUTPUTS; methods: of METHODS, for variants. A scan is by masked marginals."""

    outputs: tuple[str, ...] = ("likelihood",)
    methods: tuple[str, ...] = ("masked_marginals",)

    def __post_init__(self) -> None:
        for given, known, key in ((self.outputs, OUTPUTS, "outputs"), (self.methods, METHODS, "methods")):
            if unknown := [name for name in given if name not in known]:
                raise ConfigError(f"scores.{key}: {unknown[0]!r} is none of {', '.join(known)}")


@dataclass
class SequenceScores:
    """The scores of one sequence; those that were not requested are None or missing.

    positions: of each token; masked: (n, V) float32 masked log-probabilities over all V tokens, None for byte pairs;
    letters: of the columns of scan, (n, K) float32, None for byte pairs; variants: (m,) float64 by method; contacts:
    (n, n) float32.
    """

    tokens: Tokens
    letters: Letters | None
    positions: Positions | None = None
    masked: np.ndarray | None = None
    scan: np.ndarray | None = None
    variants: dict[str, np.ndarray] = field(default_factory=dict)
    contacts: np.ndarray | None = None


def score_sequence(
    model: LanguageModel, residues: str, seq_type: str, request: ScoreRequest, variants: Sequence[Changes] = ()
) -> SequenceScores:
    """Return the scores of a normalised sequence.

    variants: the substitutions of each variant of this sequence, which each of the request's methods scores.
    Raises EmbeddingError for a sequence that the encoder cannot read, ConfigError for outputs that need residues, of an
    encoder of byte pairs, and DeviceError if a pass does not fit in memory.

    >>> from lucaflow import load_encoder
    >>> model = LanguageModel.of(load_encoder("mini"))
    >>> scores = score_sequence(model, "MKVLAWRRKLAW", "prot", ScoreRequest(("likelihood", "scan")))
    >>> scores.scan.shape, round(scores.positions.likelihood.pseudo_perplexity, 2)
    ((12, 20), 24.6)
    """
    tokens, letters = model.tokens(residues, seq_type), Letters.of(model.encoder, seq_type)
    found = SequenceScores(tokens, letters)
    if letters is None:
        if {*request.outputs} - {"likelihood"} or variants:
            raise ConfigError(OF_RESIDUES)
        found.positions = _positions_of_byte_pairs(model, tokens)
        return found
    if {"likelihood", "residues", "scan"} & {*request.outputs}:
        ids = tokens.ids[1:-1]
        found.masked = np.concatenate([batch.rows for batch in masked_log_probabilities(model, tokens)])
        found.positions = Positions.of(found.masked, ids, letters)
        found.scan = scan(found.masked, ids, letters.ids) if "scan" in request.outputs else None
    if variants:
        found.variants = {
            method: variant_scores(model, tokens, variants, seq_type, method) for method in request.methods
        }
    if "contacts" in request.outputs:
        found.contacts = contact_map(np.concatenate([batch.rows for batch in influences(model, tokens, letters)]))
    return found


def _positions_of_byte_pairs(model: LanguageModel, tokens: Tokens) -> Positions:
    """Return the likelihood of each token. Of the log-probabilities over thousands of tokens, no table is kept."""
    found, none = np.empty((2, len(tokens))), np.full(len(tokens), np.nan)
    for batch in masked_log_probabilities(model, tokens):
        part = Positions.of(batch.rows, tokens.ids[1 + batch.start : 1 + batch.stop], None)
        found[:, batch.start : batch.stop] = part.log_probabilities, part.entropies
    return Positions(found[0], found[1], none, none)
