"""How do variants of a sequence score? The three marginals of Meier et al. 2021, and the joint form of one of them.

A score is the sum, over the substitutions of a variant, of the log-probability of the new letter minus that of the old
one. The methods differ in the pass that the log-probabilities are from:

wt_marginals: the sequence itself, nothing hidden (one pass for all variants);
masked_marginals: the sequence with that one position hidden (one pass for each position, as in ProteinGym's tables);
masked_marginals_joint: the sequence with all positions of the variant hidden (one pass for each set of positions);
mutant_marginals: the mutated sequence, nothing hidden (one pass for each variant).

A higher score is a variant that the model finds likelier. Exchanging a letter for itself scores 0 exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lucaflow.encoders.vocabulary import LETTERS
from lucaflow.records.variants import Substitution
from lucaflow.scores.likelihood import log_softmax
from lucaflow.scores.passes import LanguageModel, Pass, Tokens

METHODS = ("masked_marginals", "wt_marginals", "masked_marginals_joint", "mutant_marginals")

Changes = tuple[Substitution, ...]


def variant_scores(
    model: LanguageModel, tokens: Tokens, variants: Sequence[Changes], seq_type: str, method: str
) -> np.ndarray:
    """Return the scores (m,) float64 of m variants of a sequence by a method of METHODS.

    tokens: of the sequence; variants: the substitutions of each one, none for the sequence itself. A pass that several
    variants need is computed once.
    """
    token_of = dict(zip(LETTERS, model.tokens(LETTERS, seq_type).ids[1:-1].tolist(), strict=True))
    # The (position, token) of each substitution.
    exchanges = [tuple((position, token_of[after]) for position, _, after in changes) for changes in variants]
    needed = [_passes_of(exchanged, method, model.mask_id) for exchanged in exchanges]
    passes = list(dict.fromkeys(one for of_variant in needed for one in of_variant))
    # A pass for all variants reads the positions that some variant changes.
    changed = tuple(sorted({position for exchanged in exchanges for position, _ in exchanged}))
    read = [Pass(one.changed, changed if one.read is None else one.read) for one in passes]
    rows: dict[tuple[Pass, int], np.ndarray] = {}
    for batch in model.logits(tokens, read):
        numbers = range(batch.start, batch.stop)
        keys = [(passes[number], position) for number in numbers for position in read[number].read or ()]
        rows |= dict(zip(keys, log_softmax(batch.rows), strict=True))
    scores = np.zeros(len(variants))
    for number, (exchanged, of_variant) in enumerate(zip(exchanges, needed, strict=True)):
        for (position, token), one in zip(exchanged, of_variant, strict=True):
            row = rows[one, position]
            scores[number] += float(row[token]) - float(row[tokens.ids[position + 1]])
    return scores


def _passes_of(exchanged: tuple[tuple[int, int], ...], method: str, mask: int) -> list[Pass]:
    """Return the pass from which each substitution of a variant is scored. exchanged: their (position, token)."""
    positions = tuple(position for position, _ in exchanged)
    if method == "masked_marginals":
        return [Pass(((position, mask),), (position,)) for position in positions]
    if method == "wt_marginals":
        return [Pass()] * len(positions)
    if method == "masked_marginals_joint":
        return [Pass(tuple((position, mask) for position in positions), positions)] * len(positions)
    return [Pass(exchanged, positions)] * len(positions)


def scan(log_probabilities: np.ndarray, ids: np.ndarray, letter_ids: np.ndarray) -> np.ndarray:
    """Return the score of every substitution at every position: (n, K) float32, 0 for the letter that is there.

    log_probabilities: (n, V), masked for masked_marginals, unmasked for wt_marginals; ids: (n,) tokens of the sequence;
    letter_ids: (K,) tokens of the letters.
    """
    exact = log_probabilities.astype(np.float64)
    own = np.take_along_axis(exact, ids[:, None], 1)  # (n, 1)
    return (exact[:, letter_ids] - own).astype(np.float32)
