"""The letters of nucleotides or of proteins among the tokens of a network, and log-probabilities over them alone.

Letters in shapes: V tokens of the vocabulary, K letters of the type: 20 amino acids, or A, C, G and T.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.records.variants import NEW_LETTERS


@dataclass(frozen=True)
class Letters:
    """The letters of a type, in alphabetical order, and their tokens.

    letters: K of them; ids: (K,) their tokens.
    """

    letters: str
    ids: np.ndarray

    @classmethod
    def of(cls, encoder: Encoder, seq_type: str) -> Letters | None:
        """Return the letters of a type of sequences for an encoder; None if it reads byte pairs.

        >>> from lucaflow import load_encoder
        >>> Letters.of(load_encoder("mini"), "gene")
        Letters(letters='ACGT', ids=array([5, 7, 8, 6]))
        """
        vocabulary = encoder.vocabulary
        if not isinstance(vocabulary, Vocabulary):
            return None
        letters = NEW_LETTERS[seq_type]
        symbols = vocabulary.letters[seq_type]
        return cls(letters, np.array([vocabulary.id_of(symbols[letter]) for letter in letters]))

    def restricted(self, log_probabilities: np.ndarray) -> np.ndarray:
        """Return log-probabilities over the letters alone: (..., V) to (..., K), which sum to 1."""
        own = log_probabilities[..., self.ids].astype(np.float64)
        return own - log_of_sum(own)


def log_of_sum(logarithms: np.ndarray) -> np.ndarray:
    """Return the logarithm of the sum of exponentials along the last axis, which stays with one element."""
    largest = logarithms.max(-1, keepdims=True)
    return largest + np.log(np.exp(logarithms - largest).sum(-1, keepdims=True))


def entropy(log_probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy in nats of log-probabilities along the last axis.

    >>> entropy(np.log([[0.5, 0.5], [1.0, 1e-300]])).round(4)
    array([0.6931, 0.    ])
    """
    exact = log_probabilities.astype(np.float64)
    return -(np.exp(exact) * exact).sum(-1)
