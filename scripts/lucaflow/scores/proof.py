"""Do the weights of a language model tell known sequences from the same letters in random order?

Weights that are not those of the network, a wrong token or a wrong norm still give finite numbers. So a handful of
well-known sequences (resources/known_sequences.tsv) is scored before anything else is, and each again with its letters
shuffled. The result is recorded beside the checkpoint, once for each type of sequences.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lucaflow.errors import CheckpointError
from lucaflow.files.locks import locked
from lucaflow.scores.passes import LanguageModel
from lucaflow.scores.proof_record import (
    KNOWN_SEQUENCES,
    PROOF_NAME,
    Compared,
    Proof,
    packaged_proofs,
    recorded_proofs,
    write_proofs,
)
from lucaflow.scores.work import ScoreRequest, score_sequence

logger = logging.getLogger(__name__)

# Seconds to wait for another job that makes the proof.
_LOCK_TIMEOUT = 3600
# Standard errors by which the difference must be above 0, after all sequences, or after fewer, but at least two.
_ENOUGH, _CLEAR, _FEWEST = 3.5, 4.0, 2


class KnownSequence(NamedTuple):
    """A sequence that a language model should know. source: where it is from."""

    name: str
    seq_type: str
    source: str
    sequence: str


def known_sequences(seq_type: str) -> list[KnownSequence]:
    """Return the known sequences of a type, in the order of the table.

    >>> [known.name for known in known_sequences("prot")][:2]
    ['Escherichia coli thioredoxin', 'horse myoglobin']
    """
    with KNOWN_SEQUENCES.open(encoding="utf-8", newline="") as lines:
        rows = [KnownSequence(**row) for row in csv.DictReader(lines, delimiter="\t")]
    return [row for row in rows if row.seq_type == seq_type]


def shuffled_order(sequence: str) -> list[int]:
    """Return the places of letters in a random order that depends on the sequence alone.

    >>> shuffled_order("MKVLAW")
    [0, 1, 4, 3, 5, 2]
    """
    return sorted(range(len(sequence)), key=lambda place: hashlib.sha256(f"{place} {sequence}".encode()).digest())


def prove(model: LanguageModel, seq_type: str) -> Proof:
    """Score known sequences of a type and the same letters shuffled, until the difference is clear.

    Each letter is compared with itself at its other place. If tokens are several letters each, sequences are compared
    as wholes.
    """
    compared: list[Compared] = []
    differences: list[np.ndarray] = []
    for known, difference, found in _comparisons(model, known_sequences(seq_type)):
        compared.append(Compared(known.name, known.source, *found))
        differences.append(difference)
        mean, error = _mean_and_error(np.concatenate(differences))
        if len(compared) >= _FEWEST and mean > _CLEAR * error:
            break
    return Proof(seq_type, bool(mean > _ENOUGH * error), mean, error, tuple(compared))


def _comparisons(
    model: LanguageModel, known: Sequence[KnownSequence]
) -> Iterator[tuple[KnownSequence, np.ndarray, tuple[float, float]]]:
    """Yield each sequence with its differences and its pseudo-perplexities, as it is and shuffled."""
    for one in known:
        order = shuffled_order(one.sequence)
        shuffled = "".join(one.sequence[place] for place in order)
        as_it_is, changed = (
            score_sequence(model, text, one.seq_type, ScoreRequest()).positions for text in (one.sequence, shuffled)
        )
        assert as_it_is is not None and changed is not None
        if model.reads_residues:
            difference = as_it_is.log_probabilities[order] - changed.log_probabilities
        else:
            total = as_it_is.log_probabilities.sum() - changed.log_probabilities.sum()
            difference = np.array([total / len(one.sequence)])
        perplexities = as_it_is.likelihood.pseudo_perplexity, changed.likelihood.pseudo_perplexity
        yield one, difference, perplexities


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Return the mean and its standard error, which is infinite for a single value."""
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return float(values.mean()), float(error)


def require_proven(
    model: LanguageModel, folder: Path, record: Mapping[str, Any], seq_type: str, accept_unproven: bool
) -> Proof:
    """Return the proof of a converted checkpoint for a type, which is made once and recorded in its folder.

    record: of the checkpoint. Raises CheckpointError if the weights tell no difference, unless that is accepted.
    """
    proof = packaged_proofs(record).get(seq_type)
    if proof is None:
        with locked(folder / ".proof.lock", "scoring known sequences", required=False, timeout=_LOCK_TIMEOUT):
            proof = _proof_in(folder, model, record, seq_type)
    logger.info("%s", proof.sentence)
    if not proof.proven and not accept_unproven:
        raise CheckpointError(
            f"the language model in {folder} cannot be trusted. {proof.sentence} So its weights may be random, of "
            "another network, or not those of its config.json. Compare them with where they were published. To score "
            "all the same, set checkpoints.accept_unproven to true."
        )
    return proof


def _proof_in(folder: Path, model: LanguageModel, record: Mapping[str, Any], seq_type: str) -> Proof:
    """Return the proof recorded in a folder; make and record it if there is none."""
    path = folder / PROOF_NAME
    proofs = recorded_proofs(path, record)
    if seq_type not in proofs:
        logger.info("scoring known sequences, to see whether the weights tell them from shuffled ones")
        proofs[seq_type] = prove(model, seq_type)
        try:
            write_proofs(path, record, proofs)
        except OSError as error:
            logger.warning("%s cannot be written (%s); the next job scores the known sequences again", path, error)
    return proofs[seq_type]
