"""What do the results of passes say about a sequence and its variants?

Letters in shapes: n residues, V tokens of the vocabulary, K letters of the type.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from lucaflow.config.scores import JOINT, MASKED, MUTANT, WT
from lucaflow.encoders.families import recorded_family
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.scores.contacts import contact_map
from lucaflow.scores.letters import Letters
from lucaflow.scores.likelihood import Likelihood, Positions
from lucaflow.scores.pass_store import PassStore
from lucaflow.scores.requests import (
    BYTE_PAIRS,
    UNMASKED,
    Changes,
    name_of_influence,
    name_of_joint,
    name_of_masked,
    name_of_mutant,
)
from lucaflow.scores.variants import scan

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Sequences of whose passes arrays are held in memory.
_HELD = 64


class StoredScores:
    """Scores of sequences, from a store that has all their passes. record: of the converted checkpoint."""

    def __init__(self, store: PassStore, record: Mapping[str, Any], seq_type: str) -> None:
        self._store = store
        self._seq_type = seq_type
        self.network = recorded_family(record["family"])
        self.byte_pairs = reads_byte_pairs(record)
        self._held: OrderedDict[tuple[str, str], dict[str, np.ndarray]] = OrderedDict()
        if not self.byte_pairs:
            self._vocabulary = cast(Vocabulary, self.network.vocabulary)
            self.letters = cast(Letters, Letters.of(cast(Encoder, self.network), seq_type))
            ids = self._vocabulary.encode(_LETTERS, seq_type)[1:-1]
            self._token_of = dict(zip(_LETTERS, ids.tolist(), strict=True))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of all V tokens, in their order."""
        return self._vocabulary.symbols

    def ids(self, residues: str) -> np.ndarray:
        """Return the tokens (n,) of a sequence."""
        return self._vocabulary.encode(residues, self._seq_type)[1:-1]

    def masked(self, sequence: NormalisedSequence) -> np.ndarray:
        """Return the log-probabilities (n, V) of each position while it is hidden."""
        return self._store.get_all(sequence.digest, [*map(name_of_masked, range(len(sequence.residues)))])

    def likelihood(self, sequence: NormalisedSequence) -> Likelihood:
        """Return the likelihood of a sequence, from passes that hide each residue, or byte pair."""
        if self.byte_pairs:
            own, entropies = self._store.get_all(sequence.digest, [BYTE_PAIRS]).astype(np.float64).T
            none = np.full(len(own), np.nan)
            return Positions(own, entropies, none, none).likelihood
        return Positions.of(self.masked(sequence), self.ids(sequence.residues), self.letters).likelihood

    def scan(self, sequence: NormalisedSequence, method: str) -> np.ndarray:
        """Return the score (n, K) of every substitution at every position."""
        rows = self.masked(sequence) if method == MASKED else self._store.get_all(sequence.digest, [UNMASKED])
        return scan(rows, self.ids(sequence.residues), self.letters.ids)

    def contacts(self, sequence: NormalisedSequence) -> np.ndarray:
        """Return the scores (n, n) of pairs of positions."""
        names = [*map(name_of_influence, range(len(sequence.residues)))]
        return contact_map(self._store.get_all(sequence.digest, names))

    def of_variant(self, digest: str, changes: Changes, method: str) -> float:
        """Return the score of a variant of a sequence by a method; 0 without changes."""
        if not changes:
            return 0.0
        at = [change.position for change in changes]
        if method == WT:
            rows = self._kept(digest, UNMASKED)[at]
        elif method == MASKED:
            rows = np.concatenate([self._kept(digest, name_of_masked(position)) for position in at])
        elif method == JOINT:
            rows = self._store.get_all(digest, [name_of_joint(tuple(at))])
        else:
            assert method == MUTANT, method
            rows = self._store.get_all(digest, [name_of_mutant(changes)])
        numbers = range(len(changes))
        after = rows[numbers, [self._token_of[change.after] for change in changes]].astype(np.float64)
        before = rows[numbers, [self._token_of[change.before] for change in changes]].astype(np.float64)
        return float((after - before).sum())

    def _kept(self, digest: str, name: str) -> np.ndarray:
        """Return the result of a pass, of the last sequences from memory: many variants read it."""
        key = (digest, name[:1])
        arrays = self._held.setdefault(key, {})
        self._held.move_to_end(key)
        if len(self._held) > _HELD:
            self._held.popitem(last=False)
        if name not in arrays:
            arrays[name] = self._store.get_all(digest, [name])
        return arrays[name]


def reads_byte_pairs(record: Mapping[str, Any]) -> bool:
    """Return whether a token of a checkpoint is several letters. record: of the converted checkpoint."""
    return "tokenizer" in record["encoder"]
