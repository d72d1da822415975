"""How do mutants of a sequence score? The three marginals of Meier et al. 2021, and the joint form of one of them.

A score is the sum, over the substitutions of a mutant, of the log-probability of the new letter minus that of the old
one. The methods differ in the pass that the log-probabilities are from:

wt_marginals: the sequence itself, nothing hidden (one pass for all mutants);
masked_marginals: the sequence with that one position hidden (one pass for each position, as in ProteinGym's tables);
masked_marginals_joint: the sequence with all positions of the mutant hidden (one pass for each set of positions);
mutant_marginals: the mutated sequence, nothing hidden (one pass for each mutant).

A higher score is a mutant that the model finds likelier. Exchanging a letter for itself scores 0 exactly.

Letters in shapes: m mutants, S substitutions of all of them, V tokens of the vocabulary, P passes of a batch.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lucaflow.scores.likelihood import log_softmax
from lucaflow.scores.mutants import Mutant
from lucaflow.scores.passes import Batch, LanguageModel, Pass, Tokens

METHODS = ("masked_marginals", "wt_marginals", "masked_marginals_joint", "mutant_marginals")
# Methods whose passes depend on the mutants, not on positions alone.
METHODS_BY_MUTANT = ("masked_marginals_joint", "mutant_marginals")


@dataclass(frozen=True)
class Exchanges:
    """The substitutions of all mutants of a sequence, one after the other: (S,) int64 each.

    mutant: number of the mutant; position: from 0 on; before, after: tokens of the letters; mutants: m.
    """

    mutants: int
    mutant: np.ndarray
    position: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @classmethod
    def of(cls, model: LanguageModel, mutants: Sequence[Mutant], tokens: Tokens, seq_type: str) -> Exchanges:
        """Return the substitutions of mutants of a sequence with these tokens."""
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        token_of = dict(zip(letters, model.tokens(letters, seq_type).ids[1:-1].tolist(), strict=True))
        flat = [(number, each) for number, mutant in enumerate(mutants) for each in mutant.substitutions]
        position = np.array([each.position for _, each in flat], dtype=np.int64)
        return cls(
            len(mutants),
            np.array([number for number, _ in flat], dtype=np.int64),
            position,
            tokens.ids[1:-1][position],
            np.array([token_of[each.after] for _, each in flat], dtype=np.int64),
        )

    @property
    def positions(self) -> np.ndarray:
        """The distinct positions, in order: those that masked_marginals hides one by one."""
        return np.unique(self.position)

    def marginals(self, log_probabilities: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return wt_marginals or masked_marginals of all mutants, (m,) float64.

        log_probabilities: (p, V) of the positions (p,), which are in order and include all that are exchanged.
        """
        rows = np.searchsorted(positions, self.position)
        return self._summed(log_probabilities[rows, self.after], log_probabilities[rows, self.before])

    def _summed(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        differences = after.astype(np.float64) - before.astype(np.float64)
        return np.bincount(self.mutant, differences, self.mutants)

    def groups(self, method: str) -> list[Group]:
        """Return the passes of a method of METHODS_BY_MUTANT, each with the mutants that share it.

        Mutants without substitutions are in none: they score 0.
        """
        found: dict[Hashable, Group] = {}
        for number in range(self.mutants):
            part = self._of(number)
            positions = self.position[part].tolist()
            if not positions:
                continue
            changes = zip(positions, self.after[part].tolist(), strict=True)
            key = tuple(sorted(changes if method == "mutant_marginals" else positions))
            found.setdefault(key, Group(tuple(sorted(positions)), [])).mutants.append(number)
        return list(found.values())

    def changes(self, group: Group, masked: int | None) -> tuple[tuple[int, int], ...]:
        """Return the changed tokens of the pass of a group: [MASK], or None for those of the mutant."""
        if masked is not None:
            return tuple((position, masked) for position in group.positions)
        part = self._of(group.mutants[0])
        return tuple(zip(self.position[part].tolist(), self.after[part].tolist(), strict=True))

    def score_of(self, mutant: int, group: Group, log_probabilities: np.ndarray) -> float:
        """Return the score of a mutant from the log-probabilities (p, V) at the positions of its group."""
        part = self._of(mutant)
        rows = np.searchsorted(np.array(group.positions), self.position[part])
        exact = log_probabilities.astype(np.float64)
        return float((exact[rows, self.after[part]] - exact[rows, self.before[part]]).sum())

    def _of(self, mutant: int) -> slice:
        return slice(*self._ends[mutant : mutant + 2])

    @cached_property
    def _ends(self) -> list[int]:
        return np.searchsorted(self.mutant, np.arange(self.mutants + 1)).tolist()


class Group(NamedTuple):
    """Mutants that share a pass. positions: of their substitutions, in order."""

    positions: tuple[int, ...]
    mutants: list[int]


def scores_by_mutant(
    model: LanguageModel, tokens: Tokens, exchanges: Exchanges, method: str, start: int = 0
) -> Iterator[Batch]:
    """Yield (k, 2) float64 of each batch: numbers of mutants, and their scores; start and stop count groups of mutants.

    method: of METHODS_BY_MUTANT; start: where an earlier batch ended: values are then the same to the last bit.
    """
    groups = exchanges.groups(method)
    masked = None if method == "mutant_marginals" else model.mask_id
    passes = [Pass(exchanges.changes(group, masked), group.positions) for group in groups]
    for batch in model.logits(tokens, passes, start):
        rows, at = log_softmax(batch.rows), 0
        scores: list[tuple[int, float]] = []
        for group in groups[batch.start : batch.stop]:
            of_group = rows[at : at + len(group.positions)]
            scores += [(mutant, exchanges.score_of(mutant, group, of_group)) for mutant in group.mutants]
            at += len(group.positions)
        yield batch._replace(rows=np.array(scores))


def scan(log_probabilities: np.ndarray, ids: np.ndarray, letter_ids: np.ndarray) -> np.ndarray:
    """Return the score of every substitution at every position: (n, K) float32, 0 for the letter that is there.

    log_probabilities: (n, V), masked for masked_marginals, unmasked for wt_marginals; ids: (n,) tokens of the sequence;
    letter_ids: (K,) tokens of the letters.
    """
    exact = log_probabilities.astype(np.float64)
    own = np.take_along_axis(exact, ids[:, None], 1)  # (n, 1)
    return (exact[:, letter_ids] - own).astype(np.float32)
