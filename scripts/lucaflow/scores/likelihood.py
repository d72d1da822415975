"""How likely are the residues of a sequence, with and without hiding them?

`lp(M, i, a)` is the log-probability of token a at position i, over all V tokens of the vocabulary, of the pass in which
the positions M are hidden ([MASK]). All logarithms are natural. Positions count from 0.

Letters in shapes: n tokens of the sequence, V tokens of the vocabulary, K letters of the type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lucaflow.scores.letters import Letters, entropy, log_of_sum
from lucaflow.scores.passes import Batch, LanguageModel, Pass, Tokens


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log-probabilities (..., V) in float32, computed in float64."""
    exact = logits.astype(np.float64)
    return (exact - log_of_sum(exact)).astype(np.float32)


def unmasked_log_probabilities(model: LanguageModel, tokens: Tokens) -> np.ndarray:
    """Return lp({}, i, .) of every position, (n, V) float32: one pass."""
    (batch,) = model.logits(tokens, [Pass()])
    return log_softmax(batch.rows)


def masked_log_probabilities(
    model: LanguageModel, tokens: Tokens, positions: Sequence[int] | None = None, start: int = 0
) -> Iterator[Batch]:
    """Yield lp({i}, i, .), (P, V) float32, of each batch of the positions, one pass each.

    positions: from 0; None for all n of them. start: number of the first one to compute, where an earlier batch ended:
    the values are then the same to the last bit.
    """
    chosen = range(len(tokens)) if positions is None else positions
    passes = [Pass(((position, model.mask_id),), (position,)) for position in chosen]
    for batch in model.logits(tokens, passes, start):
        yield batch._replace(rows=log_softmax(batch.rows))


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of a sequence, from the log-probabilities of its residues.

    pseudo_log_likelihood: over all V tokens; pseudo_log_likelihood_letters: over the K letters of the type alone,
    without the `length - counted` residues that are none of these, such as N or X; NaN if there are no such letters.
    pseudo_perplexity: exp(-pseudo_log_likelihood / length), pseudo_perplexity_letters: likewise, by `counted`;
    entropy, entropy_letters: the mean over positions, in nats.
    """

    length: int
    counted: int
    pseudo_log_likelihood: float
    pseudo_log_likelihood_letters: float
    pseudo_perplexity: float
    pseudo_perplexity_letters: float
    entropy: float
    entropy_letters: float


@dataclass(frozen=True)
class Positions:
    """The log-probability of the token that is there, and the entropy, for each position: (n,) float64 each.

    log_probabilities, entropies: over all V tokens; those with `_letters` over the K letters of the type, NaN where the
    token is none of them, or if there are none.
    """

    log_probabilities: np.ndarray
    entropies: np.ndarray
    log_probabilities_letters: np.ndarray
    entropies_letters: np.ndarray

    @classmethod
    def of(cls, log_probabilities: np.ndarray, ids: np.ndarray, letters: Letters | None) -> Positions:
        """Return them from log-probabilities (n, V) and the tokens that are there, ids (n,).

        letters: of the type; None for byte pairs.
        """
        exact = log_probabilities.astype(np.float64)
        own = np.take_along_axis(exact, ids[:, None], 1)[:, 0]
        if letters is None:
            none = np.full(len(ids), np.nan)
            return cls(own, entropy(exact), none, none)
        restricted = letters.restricted(exact)  # (n, K)
        inside = np.isin(ids, letters.ids)
        own_letters = np.where(inside, own - log_of_sum(exact[:, letters.ids])[:, 0], np.nan)
        return cls(own, entropy(exact), own_letters, entropy(restricted))

    @property
    def likelihood(self) -> Likelihood:
        counted = int(np.isfinite(self.log_probabilities_letters).sum())
        total = float(self.log_probabilities.sum())
        of_letters = float(np.nansum(self.log_probabilities_letters)) if counted else np.nan
        length = len(self.log_probabilities)
        return Likelihood(
            length,
            counted,
            total,
            of_letters,
            float(np.exp(-total / length)),
            float(np.exp(-of_letters / counted)) if counted else np.nan,
            float(self.entropies.mean()),
            float(self.entropies_letters.mean()),
        )
