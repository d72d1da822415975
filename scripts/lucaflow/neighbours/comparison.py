"""How often are the labels right that neighbours suggest, and is that more than sequences alone give?"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lucaflow.errors import ToolError
from lucaflow.neighbours.datasets import Labelled, Searched
from lucaflow.neighbours.labels import (
    FEWEST_IN_BIN,
    Agreement,
    Precision,
    Vote,
    agreement,
    by_permuted_labels,
    composition,
    precision_by_similarity,
    vote,
)
from lucaflow.neighbours.search import Neighbours, mean_of, nearest, unit_vectors
from lucaflow.neighbours.sequence_search import SequencesSearched, has_best_hits, representatives, search_sequences
from lucaflow.neighbours.silhouette import silhouettes
from lucaflow.records.sequences import NormalisedSequence, read_sequences

logger = logging.getLogger(__name__)

ALL, ONE_A_CLUSTER = "all", "one of each 90 % cluster"
BEST_HIT = "best hit of MMseqs2"
RANDOM = "labels dealt at random"
# The words whose shares are compared beside embeddings.
_WORDS = {"prot": ("ACDEFGHIKLMNPQRSTVWY", 1), "gene": ("ACGT", 3)}
# By how identical the best hit is: the least and the name. Without a hit it is -1.
_IDENTITIES = ((-1.0, "none"), (0.0, "below 30 %"), (0.3, "30 to 50 %"), (0.5, "50 to 90 %"), (0.9, "90 % and more"))


class Metric(NamedTuple):
    """A row of neighbours.metrics.tsv.

    vectors: by which labels are suggested; among: which sequences; low, high: the ends of the 95 % interval.
    """

    vectors: str
    metric: str
    among: str
    value: float
    low: float
    high: float
    sequences: int

    def in_words(self) -> str:
        return f"{self.value:.0%} ({self.low:.0%} to {self.high:.0%})"


@dataclass(frozen=True)
class Suggested:
    """The labels that neighbours suggest for the distinct sequences (U,) of a dataset, and how often such are right.

    sequences: what a search with sequences finds; None where MMseqs2 is not installed, or failed.
    """

    by_vectors: Vote
    precision: Precision
    sequences: SequencesSearched | None


@dataclass(frozen=True)
class LabelsCompared:
    """How often labels that neighbours suggest are right. metrics: a table; sentences: the same in words."""

    metrics: pd.DataFrame
    sentences: tuple[str, ...]
    suggested: Suggested | None = None

    @classmethod
    def of_nothing(cls) -> LabelsCompared:
        """Return the sentences about a dataset without labels."""
        return cls(pd.DataFrame(columns=list(Metric._fields)), ())

    @classmethod
    def none(cls, why: str) -> LabelsCompared:
        return cls(pd.DataFrame(columns=list(Metric._fields)), (f"Labels were not compared: {why}.",))


@dataclass(frozen=True)
class _Kind:
    """One kind of vectors of the sequences that are left out: unit vectors (E, H), and their neighbours (E, k)."""

    units: np.ndarray
    neighbours: Neighbours


@dataclass(frozen=True)
class _Compared:
    """The sequences (E,) that are left out one by one, with all kinds of their vectors, the model's first."""

    codes: np.ndarray
    kinds: dict[str, _Kind]
    sequences: SequencesSearched | None
    reference: np.ndarray
    rows: np.ndarray

    def votes(self) -> dict[str, np.ndarray]:
        """Return the suggested label (E,) by each kind, and by the best hit."""
        found = {name: vote(kind.neighbours, self.reference).label for name, kind in self.kinds.items()}
        if self.sequences:
            found[BEST_HIT] = self.sequences.of_left_out.codes(self.reference)
        return found


def compare_labels(
    searched: Searched, sequences: Path, of_reference: Path, model: str, are_numbers: bool, threads: int = 1
) -> LabelsCompared:
    """Return the labels that neighbours suggest, and how often such labels are right.

    sequences, of_reference: the distinct sequences of the dataset and of the reference as FASTA, which may be the same;
    model: the name of the model; are_numbers: whether the labels are measured values, which are no classes.
    """
    if why_not := _not_comparable(searched, are_numbers):
        return LabelsCompared.none(why_not)
    reference, codes = searched.reference, searched.reference.codes
    targets = in_order_of(reference, read_sequences(of_reference))
    queries = targets
    if not searched.is_own:
        queries = in_order_of(searched.dataset, read_sequences(sequences)) if has_best_hits(searched) else []
    found: SequencesSearched | None = None
    why_not = ""
    try:
        found = search_sequences(searched, queries, targets, of_reference, threads)
    except ToolError as error:
        # The embeddings are compared all the same, and the page names the missing part.
        logger.warning("labels are not compared with those of a search with sequences: %s", error)
        why_not = _without_search(error)
    units = unit_vectors(searched.left_out_vectors, searched.centre)
    of_composition, words = _by_composition(searched, targets)
    kinds = {model: _Kind(units, searched.left_out_neighbours), f"{words} composition": of_composition}
    compared = _Compared(codes[searched.left_out], kinds, found, codes, searched.left_out)
    precision = precision_by_similarity(vote(searched.left_out_neighbours, codes), compared.codes)
    suggested = vote(searched.neighbours, codes)
    rows: list[Metric] = [*_among_all(compared), *_among_representatives(compared)]
    if not searched.is_own:
        rows += _of_own_labels(searched, suggested, model)
    rows += [*_by_identity(compared), *_by_similarity(precision, model)]
    metrics = pd.DataFrame(rows, columns=list(Metric._fields))
    sentences = (*_sentences(rows, searched, found), *[why_not] * bool(why_not))
    return LabelsCompared(metrics, sentences, Suggested(suggested, precision, found))


def _without_search(error: ToolError) -> str:
    """Return why nothing is compared with a search by sequences, for the page: the first sentence of an error."""
    # Without the path of the program.
    why = re.sub(r" \([^)]*\)", "", str(error).partition(". ")[0])
    return (
        f"Labels are not compared with the best hits of MMseqs2, nor by clusters: {why}. The job's log says more. To "
        "compare them, delete neighbours.metrics.tsv and run again."
    )


def _not_comparable(searched: Searched, are_numbers: bool) -> str:
    """Return why labels cannot be compared; an empty text if they can."""
    if not searched.neighbours.rows.shape[1]:
        return "no neighbours are listed"
    if are_numbers:
        return "they are numbers"
    known = (searched.reference.codes >= 0).sum()
    return "" if known > 1 else "fewer than two sequences have a label of their own"


def _row(vectors: str, metric: str, among: str, of: Agreement) -> Metric:
    return Metric(vectors, metric, among, of.value, of.low, of.high, of.sequences)


def _both(vectors: str, among: str, right: np.ndarray, codes: np.ndarray) -> Iterator[Metric]:
    """Yield the accuracy, and the one in which each label counts once."""
    yield _row(vectors, "accuracy", among, agreement(right, codes))
    yield _row(vectors, "balanced accuracy", among, agreement(right, codes, balanced=True))


def _among_all(compared: _Compared) -> Iterator[Metric]:
    known = compared.codes >= 0
    codes = compared.codes[known]
    for name, label in compared.votes().items():
        yield from _both(name, ALL, label[known] == codes, codes)
    own = next(iter(compared.kinds.values()))
    yield from _both(RANDOM, ALL, *by_permuted_labels(own.neighbours, compared.reference, compared.rows))
    yield from _of_silhouettes({name: kind.units[known] for name, kind in compared.kinds.items()}, codes, ALL)


def _among_representatives(compared: _Compared) -> Iterator[Metric]:
    """Yield the same for one labelled sequence of each cluster, whose neighbours are among these."""
    if compared.sequences is None:
        return
    chosen = representatives(compared.sequences.clusters, np.flatnonzero(compared.codes >= 0))
    codes = compared.codes[chosen]
    if len(chosen) < 2:
        return
    k = next(iter(compared.kinds.values())).neighbours.rows.shape[1]
    neighbours = {name: nearest(kind.units[chosen], k) for name, kind in compared.kinds.items()}
    for name, found in neighbours.items():
        yield from _both(name, ONE_A_CLUSTER, vote(found, codes).label == codes, codes)
    yield from _both(RANDOM, ONE_A_CLUSTER, *by_permuted_labels(next(iter(neighbours.values())), codes))
    yield from _of_silhouettes(
        {name: kind.units[chosen] for name, kind in compared.kinds.items()}, codes, ONE_A_CLUSTER
    )


def _of_silhouettes(units: dict[str, np.ndarray], codes: np.ndarray, among: str) -> Iterator[Metric]:
    for name, vectors in units.items():
        yield _row(name, "silhouette", among, agreement(silhouettes(vectors, codes), codes))
    dealt = np.random.default_rng(0).permutation(codes)
    yield _row(RANDOM, "silhouette", among, agreement(silhouettes(next(iter(units.values())), dealt), dealt))


def _by_identity(compared: _Compared) -> Iterator[Metric]:
    """Yield how often labels are right, by how identical the best hit is: what embeddings find beyond a search."""
    if compared.sequences is None:
        return
    known = compared.codes >= 0
    identity = np.nan_to_num(compared.sequences.of_left_out.identity, nan=-1)
    place = np.searchsorted([least for least, _ in _IDENTITIES], identity, side="right") - 1
    votes = compared.votes()
    for number, (_, name) in enumerate(_IDENTITIES):
        inside = known & (place == number)
        for vectors in (next(iter(compared.kinds)), BEST_HIT):
            of = agreement(votes[vectors][inside] == compared.codes[inside], compared.codes[inside])
            few = of.sequences < FEWEST_IN_BIN
            shown = Agreement(np.nan, np.nan, np.nan, of.sequences) if few else of
            yield _row(vectors, f"accuracy, identity of the best hit: {name}", ALL, shown)


def _by_similarity(precision: Precision, model: str) -> Iterator[Metric]:
    for low, share, count in zip(precision.low, precision.share, precision.count, strict=True):
        if count:
            name = f"precision at similarity {low:.1f} to {low + 0.1:.1f}"
            yield Metric(model, name, ALL, float(share), np.nan, np.nan, int(count))


def _of_own_labels(searched: Searched, suggested: Vote, model: str) -> Iterator[Metric]:
    """Yield how often the reference suggests the labels that the dataset has itself, if it has any."""
    place = {name: number for number, name in enumerate(searched.reference.names)}
    own = np.array([place.get(name, -2) for name in searched.dataset.names] + [-1])[searched.dataset.codes]
    known = own != -1
    if known.any():
        of = agreement(suggested.label[known] == own[known], np.maximum(own[known], 0))
        yield _row(model, "accuracy for the dataset's own labels", ALL, of)


def in_order_of(dataset: Labelled, sequences: Sequence[NormalisedSequence]) -> list[NormalisedSequence]:
    """Return the distinct sequences (U,) of a dataset in the order of its digests."""
    by_digest = {sequence.digest: sequence for sequence in sequences}
    return [by_digest[digest] for digest in dataset.digests.astype(str)]


def _by_composition(searched: Searched, sequences: Sequence[NormalisedSequence]) -> tuple[_Kind, str]:
    """Return the words that the sequences which are left out are made of as vectors, and the name of these words."""
    letters, length = _WORDS[sequences[0].seq_type]
    vectors = composition([sequence.residues for sequence in sequences], letters, length)
    rows, k = searched.left_out, searched.neighbours.rows.shape[1]
    kind = _Kind(unit_vectors(vectors[rows], mean_of(vectors)), nearest(vectors[rows], k, vectors, rows))
    return kind, "amino-acid" if length == 1 else f"{length}-mer"


def _sentences(metrics: Sequence[Metric], searched: Searched, found: SequencesSearched | None) -> tuple[str, ...]:
    """Return whether the labels cluster in one sentence, then the numbers.

    The first is about one sequence of each cluster, if there are 30 clusters.
    """
    accuracy: dict[str, list[Metric]] = {}
    for each in metrics:
        if each.metric == "accuracy":
            accuracy.setdefault(each.among, []).append(each)
    k = min(searched.neighbours.rows.shape[1], len(searched.reference.codes) - 1)
    whose = "" if searched.is_own else " of the reference"
    many = ONE_A_CLUSTER in accuracy and accuracy[ONE_A_CLUSTER][0].sequences >= FEWEST_IN_BIN
    lines = [_verdict(accuracy[ONE_A_CLUSTER if many else ALL])]
    for among, (of_model, *others) in accuracy.items():
        who = f"labelled sequences{whose}" + (", one of each 90 % cluster," if among == ONE_A_CLUSTER else "")
        compared = "; ".join(f"{_BY.get(of.vectors, f'by {of.vectors}')} {of.in_words()}" for of in others)
        count = f"{of_model.sequences:,}"
        lines.append(
            f"By the votes of {k} neighbours {of_model.in_words()} of {count} {who} get their own label; {compared}."
        )
    left_out, labelled = len(searched.left_out), int((searched.reference.codes >= 0).sum())
    if left_out < labelled:
        lines.append(f"These are {left_out:,} of {labelled:,} labelled sequences{whose}, spread evenly over them.")
    if found and found.of_dataset is None:
        count = f"{len(searched.dataset.digests):,}"
        lines.append(f"Best hits of single records are not listed: there are {count} distinct sequences.")
    return tuple(lines)


_BY = {RANDOM: "with labels dealt at random", BEST_HIT: "by the best hit of MMseqs2"}


def _verdict(accuracy: Sequence[Metric]) -> str:
    """Return whether the labels cluster, in one sentence. accuracy: the model's first, then that of composition."""
    of_model, of_words = accuracy[:2]
    (of_random,) = (each for each in accuracy if each.vectors == RANDOM)
    if of_model.low <= of_random.high:
        return "The embeddings do not cluster by these labels: labels dealt at random do as well."
    if of_model.low > of_words.high:
        return f"The embeddings cluster by these labels, and more than {of_words.vectors} does."
    if of_words.low > of_model.high:
        return f"The embeddings cluster by these labels, but less than {of_words.vectors} does."
    return f"The embeddings cluster by these labels, but no more than {of_words.vectors} does."
