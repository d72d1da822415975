"""Compute the passes of a dataset's sequences that no earlier job has computed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lucaflow.config.scores import ScoreOptions
from lucaflow.engine.devices import device_name, peak_memory
from lucaflow.errors import DeviceError, EmbeddingError
from lucaflow.files.space import human_bytes
from lucaflow.progress import Progress
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.scores.contacts import influences
from lucaflow.scores.letters import Letters
from lucaflow.scores.likelihood import log_softmax
from lucaflow.scores.pass_store import PassStore
from lucaflow.scores.passes import LanguageModel, Pass
from lucaflow.scores.requests import BYTE_PAIRS, VariantPasses, name_of_influence, wanted_names
from lucaflow.scores.work import ScoreRequest, score_sequence

logger = logging.getLogger(__name__)

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Part:
    """The share of a job: one of `count` jobs, by its number from 0."""

    number: int = 0
    count: int = 1

    def has(self, digest: str, group: int = 0) -> bool:
        """Return whether a group of a sequence's passes is for this job."""
        return (int(digest[:12], 16) + group) % self.count == self.number


ALL = Part()
# Passes of a sequence that are for one job. Not what fits into its memory, which other jobs do not know.
_TOGETHER = 64


@dataclass
class PassesJob:
    """Computes missing passes into a store. load: loads the language model, which is done if a pass is missing.

    seq_type: of the sequences; byte_pairs: whether the model reads them; tokens_per_batch: as configured; part: the
    share of this job.
    """

    store: PassStore
    load: Callable[[], LanguageModel]
    scores: ScoreOptions
    seq_type: str
    byte_pairs: bool
    tokens_per_batch: int | str = "auto"
    part: Part = ALL
    _model: LanguageModel | None = None
    _tokens: int = 0

    def run(self, sequences: Iterable[NormalisedSequence], variants: dict[str, VariantPasses], tokens: int) -> None:
        """Compute what is missing. variants: passes by digest; tokens: expected, for the progress shown."""
        started = time.monotonic()
        with Progress(total=tokens, unit=" tokens", desc="passes") as self._progress:
            for sequence in sequences:
                if not (self.scores.outputs or sequence.digest in variants):
                    continue
                try:
                    self._run_one(sequence, variants.get(sequence.digest))
                except (EmbeddingError, DeviceError) as error:
                    raise type(error)(f"sequence {sequence.digest}: {error}") from error
        if self._model is None:
            logger.info("all passes were computed before")
            return
        seconds = time.monotonic() - started
        logger.info(
            "%d tokens in %.1f s: %.0f tokens/s, %s of memory",
            self._tokens, seconds, self._tokens / seconds, human_bytes(peak_memory(self._model.encoder.device)),
        )  # fmt: skip

    def _run_one(self, sequence: NormalisedSequence, variants: VariantPasses | None) -> None:
        known = self.store.names(sequence.digest)
        if self.byte_pairs:
            if BYTE_PAIRS not in known and self.part.has(sequence.digest):
                self._byte_pairs(sequence)
            return
        wanted = [*wanted_names(len(sequence.residues), self.scores, variants)]
        if any(name not in known for name, _ in wanted):
            self._passes(sequence, wanted, known)
        if "contacts" in self.scores.outputs and self.part.has(sequence.digest):
            self._influences(sequence, known)

    def _passes(self, sequence: NormalisedSequence, wanted: Sequence[tuple[str, object]], known: set[str]) -> None:
        """Compute the passes of a sequence that are missing among those of this job."""
        model = self.model
        tokens = model.tokens(sequence.residues, self.seq_type)
        mine = [item for number, item in enumerate(wanted) if self.part.has(sequence.digest, number // _TOGETHER)]
        missing = [(name, what) for name, what in mine if name not in known]
        letters = self._token_of_letters
        passes = [_pass(what, model.mask_id, letters) for _, what in missing]
        for batch in model.logits(tokens, passes):
            rows = log_softmax(batch.rows)
            names = [name for name, _ in missing[batch.start : batch.stop]]
            counts = [len(one.rows(len(tokens))) for one in passes[batch.start : batch.stop]]
            parts = np.split(rows, np.cumsum(counts)[:-1])
            self._add(sequence.digest, zip(names, parts, strict=True), len(names) * len(tokens.ids))

    def _influences(self, sequence: NormalisedSequence, known: set[str]) -> None:
        length = len(sequence.residues)
        # An earlier job has computed the first ones, in whole batches.
        start = next((at for at in range(length) if name_of_influence(at) not in known), length)
        if start == length:
            return
        tokens = self.model.tokens(sequence.residues, self.seq_type)
        letters = Letters.of(self.model.encoder, self.seq_type)
        assert letters is not None, "byte pairs have no contacts"
        for batch in influences(self.model, tokens, letters, start):
            names = map(name_of_influence, range(batch.start, batch.stop))
            count = (batch.stop - batch.start) * len(letters.ids) * len(tokens.ids)
            self._add(sequence.digest, zip(names, batch.rows[:, None], strict=True), count)

    def _byte_pairs(self, sequence: NormalisedSequence) -> None:
        found = score_sequence(self.model, sequence.residues, self.seq_type, ScoreRequest(("likelihood",)))
        assert found.positions is not None
        rows = np.stack([found.positions.log_probabilities, found.positions.entropies], axis=1)
        self._add(sequence.digest, [(BYTE_PAIRS, rows)], len(found.tokens) * len(found.tokens.ids))

    def _add(self, digest: str, results: Iterable[tuple[str, np.ndarray]], tokens: int) -> None:
        self.store.add(digest, results, tokens)
        self._tokens += tokens
        self._progress.update(tokens)
        if self.model.budget != self._budget:
            self._record_budget()

    @property
    def model(self) -> LanguageModel:
        """The language model, with the tokens at once of the job that this one goes on with."""
        if self._model is None:
            self._model = self.load()
            self._device = device_name(self._model.encoder.device)
            if self.tokens_per_batch == "auto":
                self._model.budget = self.store.budget(self._device) or self._model.budget
            self._record_budget()
            logger.info("%s, %d tokens at once", self._device, self._model.budget)
        return self._model

    def _record_budget(self) -> None:
        self._budget = self.model.budget
        self.store.record_budget(self._device, self._budget)

    @property
    def _token_of_letters(self) -> dict[str, int]:
        ids = self.model.tokens(_LETTERS, self.seq_type).ids[1:-1]
        return dict(zip(_LETTERS, ids.tolist(), strict=True))


def _pass(what: object, mask: int, letters: dict[str, int]) -> Pass:
    """Return the pass that hides positions, or changes letters. what: as `wanted_names` yields it."""
    if what is None:
        return Pass()
    changed: list[tuple[int, int]] = []
    assert isinstance(what, tuple)
    for each in what:
        changed.append((each, mask) if isinstance(each, int) else (each.position, letters[each.after]))
    return Pass(tuple(changed), tuple(position for position, _ in changed))
