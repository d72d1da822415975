"""All scores that are asked for of one sequence, in as few passes as they need.

Letters in shapes: n tokens of the sequence (residues, or byte pairs), V tokens of the vocabulary, K letters of the
type, m mutants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from lucaflow.errors import ConfigError
from lucaflow.scores.contacts import contact_map, influences
from lucaflow.scores.journal import Journal
from lucaflow.scores.letters import OWN_LETTERS, Letters
from lucaflow.scores.likelihood import Positions, masked_log_probabilities, unmasked_log_probabilities
from lucaflow.scores.mutants import Mutant
from lucaflow.scores.passes import Batch, LanguageModel, Tokens
from lucaflow.scores.variants import METHODS, METHODS_BY_MUTANT, Exchanges, scan, scores_by_mutant

OUTPUTS = ("likelihood", "residues", "scan", "contacts")
# Outputs that need a pass for each residue, in which it is hidden.
_MASKED = ("likelihood", "residues", "scan")


@dataclass(frozen=True)
class ScoreRequest:
    """What is asked for. outputs: of OUTPUTS; methods: of METHODS, for mutants, and the first one for the scan.

    A scan is by masked marginals, or by wt_marginals if that is the only method: it then needs a single pass.
    """

    outputs: tuple[str, ...] = ("likelihood",)
    methods: tuple[str, ...] = ("masked_marginals",)

    def __post_init__(self) -> None:
        for given, known, key in ((self.outputs, OUTPUTS, "outputs"), (self.methods, METHODS, "methods")):
            if unknown := [name for name in given if name not in known]:
                raise ConfigError(f"scores.{key}: {unknown[0]!r} is none of {', '.join(known)}")

    @property
    def scan_method(self) -> str:
        return "wt_marginals" if self.methods == ("wt_marginals",) else "masked_marginals"

    @property
    def masks_all(self) -> bool:
        """Whether each residue is hidden in turn, whatever mutants there are."""
        wanted = {*self.outputs} & {*_MASKED}
        return bool(wanted - ({"scan"} if self.scan_method == "wt_marginals" else set()))

    def passes(self, length: int, seq_type: str, mutants: Sequence[Mutant] = ()) -> int:
        """Return the passes over a sequence of `length` residues, for an encoder whose tokens are residues.

        >>> ScoreRequest(("scan",)).passes(300, "prot"), ScoreRequest(("contacts",)).passes(300, "prot")
        (300, 6000)
        """
        total = length if self.masks_all else 0
        if "contacts" in self.outputs:
            total += length * len(OWN_LETTERS[seq_type])
        by_wild_type = bool(mutants) and "wt_marginals" in self.methods
        total += by_wild_type or ("scan" in self.outputs and self.scan_method == "wt_marginals")
        if mutants and "masked_marginals" in self.methods and not self.masks_all:
            total += len({position for mutant in mutants for position in mutant.positions})
        if "masked_marginals_joint" in self.methods:
            total += len({frozenset(mutant.positions) for mutant in mutants if mutant.positions})
        if "mutant_marginals" in self.methods:
            total += len({frozenset(mutant.substitutions) for mutant in mutants if mutant.positions})
        return total


@dataclass
class SequenceScores:
    """The scores of one sequence; what was not asked for is None or empty.

    positions: of each token; masked: (n, V) float32 masked log-probabilities over all V tokens, None for byte pairs;
    letters: of the columns of scan, (n, K) float32, and of `Letters.ids` in masked; mutants: (m,) float64 by method;
    contacts: (n, n) float32.
    """

    tokens: Tokens
    letters: Letters | None
    positions: Positions | None = None
    masked: np.ndarray | None = None
    scan: np.ndarray | None = None
    mutants: dict[str, np.ndarray] = field(default_factory=dict)
    contacts: np.ndarray | None = None


def score_sequence(
    model: LanguageModel,
    residues: str,
    seq_type: str,
    request: ScoreRequest,
    mutants: Sequence[Mutant] = (),
    journal: Journal | None = None,
    name: str = "",
    progress: Callable[[int], object] = lambda _: None,
) -> SequenceScores:
    """Return the scores of a normalised sequence.

    mutants: of this sequence (`parse_mutant`), scored by each of the request's methods; journal: keeps batches, so that
    a later call goes on to the same bits; name: of the sequence in the journal, such as its digest; progress: called
    with the number of passes done, after each batch, also for those that the journal has.
    Raises EmbeddingError for a sequence that the encoder cannot read, ConfigError for outputs that need residues, of an
    encoder of byte pairs, and DeviceError if a pass does not fit in memory.

    >>> from lucaflow import load_encoder
    >>> model = LanguageModel.of(load_encoder("mini"))
    >>> scores = score_sequence(model, "MKVLAWRRKLAW", "prot", ScoreRequest(("likelihood", "scan")))
    >>> scores.scan.shape, round(scores.positions.likelihood.pseudo_perplexity, 2)
    ((12, 20), 24.6)
    """
    kept = journal or Journal(None, "", model)
    tokens, letters = model.tokens(residues, seq_type), Letters.of(model.encoder, seq_type)
    found = SequenceScores(tokens, letters)
    if letters is None:
        _refuse_byte_pairs(request, mutants)
        found.positions = _positions_of_byte_pairs(model, tokens, kept, name, progress)
        return found
    _Scoring(model, tokens, letters, request, kept, name, progress).fill(found, mutants, seq_type)
    return found


@dataclass(frozen=True)
class _Scoring:
    """The work on one sequence, whose tokens are residues."""

    model: LanguageModel
    tokens: Tokens
    letters: Letters
    request: ScoreRequest
    journal: Journal
    name: str
    progress: Callable[[int], object]

    def fill(self, found: SequenceScores, mutants: Sequence[Mutant], seq_type: str) -> None:
        exchanges = Exchanges.of(self.model, mutants, self.tokens, seq_type)
        ids, request = self.tokens.ids[1:-1], self.request
        everywhere = np.arange(len(self.tokens))
        if request.masks_all:
            found.masked = self._masked(everywhere)
            if {"likelihood", "residues"} & {*request.outputs}:
                found.positions = Positions.of(found.masked, ids, self.letters)
        by_wild_type = "scan" in request.outputs and request.scan_method == "wt_marginals"
        unmasked = None
        if by_wild_type or (mutants and "wt_marginals" in request.methods):
            unmasked = unmasked_log_probabilities(self.model, self.tokens)
            self.progress(1)
        if "scan" in request.outputs:
            source = unmasked if by_wild_type else found.masked
            assert source is not None
            found.scan = scan(source, ids, self.letters.ids)
        for method in request.methods if mutants else ():
            if method in METHODS_BY_MUTANT:
                found.mutants[method] = self._by_mutant(exchanges, method)
            elif method == "wt_marginals":
                assert unmasked is not None
                found.mutants[method] = exchanges.marginals(unmasked, everywhere)
            else:
                positions = everywhere if found.masked is not None else exchanges.positions
                masked = found.masked if found.masked is not None else self._masked(positions)
                found.mutants[method] = exchanges.marginals(masked, positions)
        if "contacts" in request.outputs:
            found.contacts = contact_map(self._influences())

    def _masked(self, positions: np.ndarray) -> np.ndarray:
        """Return the masked log-probabilities (p, V) of positions (p,)."""
        found = np.empty((len(positions), len(self.model.encoder.vocabulary)), dtype=np.float32)
        batches = partial(masked_log_probabilities, self.model, self.tokens, positions.tolist())
        for batch in self.journal.resumed(f"{self.name}/masked", batches):
            found[batch.start : batch.stop] = batch.rows
            self.progress(batch.stop - batch.start)
        return found

    def _influences(self) -> np.ndarray:
        found = np.empty((len(self.tokens), len(self.tokens)), dtype=np.float32)
        batches = partial(influences, self.model, self.tokens, self.letters)
        for batch in self.journal.resumed(f"{self.name}/influences", batches):
            found[batch.start : batch.stop] = batch.rows
            self.progress((batch.stop - batch.start) * len(self.letters.ids))
        return found

    def _by_mutant(self, exchanges: Exchanges, method: str) -> np.ndarray:
        found = np.zeros(exchanges.mutants)
        batches = partial(scores_by_mutant, self.model, self.tokens, exchanges, method)
        for batch in self.journal.resumed(f"{self.name}/{method}", batches):
            found[batch.rows[:, 0].astype(np.int64)] = batch.rows[:, 1]
            self.progress(batch.stop - batch.start)
        return found


def _positions_of_byte_pairs(
    model: LanguageModel, tokens: Tokens, journal: Journal, name: str, progress: Callable[[int], object]
) -> Positions:
    """Return the likelihood of each token. Of the log-probabilities over thousands of tokens, no table is kept."""

    def batches(start: int) -> Iterator[Batch]:
        for batch in masked_log_probabilities(model, tokens, start=start):
            there = Positions.of(batch.rows, tokens.ids[1 + batch.start : 1 + batch.stop], None)
            yield batch._replace(rows=np.stack([there.log_probabilities, there.entropies], axis=1))

    found = np.empty((len(tokens), 2))
    for batch in journal.resumed(f"{name}/tokens", batches):
        found[batch.start : batch.stop] = batch.rows
        progress(batch.stop - batch.start)
    none = np.full(len(tokens), np.nan)
    return Positions(found[:, 0], found[:, 1], none, none)


def _refuse_byte_pairs(request: ScoreRequest, mutants: Sequence[Mutant]) -> None:
    """Raise ConfigError for scores of residues by an encoder whose tokens are several letters each."""
    of_residues = [f"scores.outputs: {name}" for name in request.outputs if name != "likelihood"]
    if of_residues or mutants:
        wanted = of_residues[0] if of_residues else "variants"
        raise ConfigError(
            f"{wanted} needs a model that reads single residues, but a token of this one is one or several letters, "
            "and another letter makes other tokens. Its likelihoods are by token; ask for `likelihood` alone."
        )
