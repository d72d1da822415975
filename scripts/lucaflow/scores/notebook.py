"""Score a few sequences in a notebook. For many, or to store the results, use the workflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lucaflow.embedding.notebook import normalised_sequences, readable_type
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.vocabulary import LETTERS
from lucaflow.errors import ConfigError, InputError, VariantError
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.records.variants import substitutions_of
from lucaflow.scores.likelihood import masked_log_probabilities, unmasked_log_probabilities
from lucaflow.scores.passes import OF_RESIDUES, LanguageModel
from lucaflow.scores.variants import METHODS, variant_scores

# The letters of nucleotides, also of unknown ones (IUPAC). A protein has others, unless it is short.
_NUCLEOTIDE_CODES = frozenset("ACGTUNRYSWKMBDHVX")
_LONGEST_DOUBTFUL = 20


def score_variants(
    encoder: Encoder,
    sequence: str,
    mutants: Sequence[str],
    seq_type: str | None = None,
    method: str = "masked_marginals",
    first_residue: int = 1,
) -> np.ndarray:
    """Return the scores (m,) float64 of m mutants of a sequence: the higher, the likelier the model finds the mutant.

    mutants: in ProteinGym's notation, such as `A23V`, or `A23V:G45D` for two exchanges in one mutant. method:
    `masked_marginals` (hides one position at a time), `wt_marginals` (hides none: one pass), `masked_marginals_joint`
    (hides all positions of a mutant at once) or `mutant_marginals` (of the mutated sequence); first_residue: the number
    of the first residue. seq_type: `gene` (also `dna`, `rna`) or `prot` (also `protein`); needed if the encoder reads
    both and the sequence may be either.
    Raises InputError that names every mutant that cannot be scored, and ConfigError for another kind of argument.

    >>> encoder = load_encoder("mini")
    >>> score_variants(encoder, "MKVLAWRRKLAW", ["K2A", "K2W", "K2A:R7K", "WT"]).round(2)
    array([ 1.03, -0.48,  1.16,  0.  ])
    """
    if method not in METHODS:
        raise ConfigError(f"method: expected one of {', '.join(METHODS)}, not {method!r}")
    if isinstance(mutants, str):
        raise ConfigError(f"mutants: expected a list, such as [{mutants!r}]")
    normalised = _normalised(encoder, sequence, seq_type)
    found, problems = [], []
    for number, text in enumerate(mutants, start=1):
        try:
            found.append(substitutions_of(str(text), normalised.residues, normalised.seq_type, first_residue))
        except VariantError as error:
            problems.append(f"mutant {number}: {error}")
    if problems:
        raise InputError("\n".join(problems))
    model = LanguageModel.of(encoder, precision=_precision(encoder))
    if not model.reads_residues:
        raise ConfigError(OF_RESIDUES)
    tokens = model.tokens(normalised.residues, normalised.seq_type)
    return variant_scores(model, tokens, found, normalised.seq_type, method)


def log_probabilities(encoder: Encoder, sequence: str, masked: bool = True, seq_type: str | None = None) -> np.ndarray:
    """Return the log-probability of every token at every position, (n, V) float32, natural logarithms.

    n: residues (byte pairs, for DNABERT-2); V: tokens of `encoder.vocabulary`, 39 of LucaOne's. The columns of the 20
    amino acids, or of A, C, G and T, are `lucaflow.scores.letters.Letters.of(encoder, seq_type).ids`.
    masked: hide each position in turn, which takes n passes; without, one pass over the whole sequence. seq_type: as
    for `score_variants`.
    Raises InputError for a sequence that the workflow would refuse, and ConfigError for another kind of argument.

    >>> found = log_probabilities(load_encoder("mini"), "MKVLAWRRKLAW")
    >>> found.shape, bool(np.allclose(np.exp(found).sum(1), 1))
    ((12, 39), True)
    """
    normalised = _normalised(encoder, sequence, seq_type)
    model = LanguageModel.of(encoder, precision=_precision(encoder))
    tokens = model.tokens(normalised.residues, normalised.seq_type)
    if not masked:
        return unmasked_log_probabilities(model, tokens)
    return np.concatenate([batch.rows for batch in masked_log_probabilities(model, tokens)])


def _normalised(encoder: Encoder, sequence: str, seq_type: str | None) -> NormalisedSequence:
    """Return the sequence, normalised with the workflow's default policies."""
    if not isinstance(encoder, Encoder):
        found = type(encoder).__name__
        raise ConfigError(f'encoder: expected what load_encoder returns, such as load_encoder("mini"), not {found}')
    (normalised,) = normalised_sequences(
        None, [sequence], readable_type(encoder, seq_type or _type_of(encoder, sequence))
    )
    return normalised


def _type_of(encoder: Encoder, sequence: str) -> str:
    """Return the type of a sequence that nobody has stated. Raises ConfigError if it may be either."""
    readable = encoder.vocabulary.seq_types
    if len(readable) == 1:
        return readable[0]
    letters = {*str(sequence).upper()} & {*LETTERS}
    if letters - _NUCLEOTIDE_CODES:
        return "prot"
    if letters <= {*"ACGTUN"} and len(sequence) >= _LONGEST_DOUBTFUL:
        return "gene"
    raise ConfigError("seq_type: the sequence may be a gene or a protein; give `gene` or `prot`")


def _precision(encoder: Encoder) -> str:
    return "bfloat16" if encoder.arithmetic == torch.bfloat16 else "float32"
