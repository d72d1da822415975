"""How are scores of whole sequences written: a table of likelihoods, and arrays by id?"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lucaflow.files.writing import replacing
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.records.tsv import open_tsv, tsv_rows
from lucaflow.scores.stored_scores import StoredScores
from lucaflow.store.format import hdf5_name

LIKELIHOOD_COLUMNS = (
    "id", "length", "pseudo_log_likelihood", "pseudo_log_likelihood_letters", "pseudo_perplexity", "entropy",
)  # fmt: skip


@dataclass(frozen=True)
class ScoredRecords:
    """The accepted records of a dataset in their order, and its distinct sequences.

    records: path of records.tsv; sequences: of the file of distinct sequences.
    """

    records: Path
    sequences: Path
    seq_type: str

    @cached_property
    def ids(self) -> Sequence[tuple[str, str]]:
        """The id and the digest of each record. Scores of variants alone need none of them."""
        with ExitStack() as stack:
            rows = tsv_rows(stack, self.records)
            names = next(rows)
            status, identifier, digest = (names.index(name) for name in ("status", "id", "digest"))
            return [(row[identifier], row[digest]) for row in rows if row[status] == "accepted"]

    def distinct(self) -> Iterator[NormalisedSequence]:
        """Yield the distinct sequences, in the order of their file."""
        with self.sequences.open(encoding="ascii") as lines:
            for header in lines:
                yield NormalisedSequence(header[1:65], self.seq_type, next(lines).rstrip("\n"))

    def by_digest(self) -> dict[str, list[str]]:
        """Return the ids of each distinct sequence."""
        found: dict[str, list[str]] = {}
        for identifier, digest in self.ids:
            found.setdefault(digest, []).append(identifier)
        return found

    def first(self, most: int) -> list[tuple[str, NormalisedSequence]]:
        """Return the first records with their sequences."""
        wanted = self.ids[:most]
        digests = {digest for _, digest in wanted}
        found = {sequence.digest: sequence for sequence in self.distinct() if sequence.digest in digests}
        return [(identifier, found[digest]) for identifier, digest in wanted]


def write_likelihoods(path: Path, records: ScoredRecords, stored: StoredScores) -> None:
    """Write sequences.tsv: a row for each record. Of byte pairs, the sums are over tokens."""
    rows = {}
    for sequence in records.distinct():
        found = stored.likelihood(sequence)
        numbers = (
            found.pseudo_log_likelihood, found.pseudo_log_likelihood_letters, found.pseudo_perplexity, found.entropy,
        )  # fmt: skip
        rows[sequence.digest] = (str(len(sequence.residues)), *map(as_text, numbers))
    with replacing(path) as temporary, ExitStack() as stack:
        _, table = open_tsv(stack, temporary, LIKELIHOOD_COLUMNS)
        table.writerows((identifier, *rows[digest]) for identifier, digest in records.ids)


def as_text(value: float) -> str:
    """Return a number as tables have it; an empty cell for NaN."""
    return "" if np.isnan(value) else f"{value:.9g}"


def write_arrays(
    path: Path,
    records: ScoredRecords,
    array_of: Callable[[NormalisedSequence], np.ndarray],
    attributes: Mapping[str, Any],
) -> None:
    """Write an HDF5 file with an array for each id at its root. Records of the same sequence share one.

    attributes: of the file; a list of texts is an array there.
    """
    ids = records.by_digest()
    with replacing(path) as temporary, h5py.File(temporary, "w", libver="earliest") as file:
        file.attrs.update({name: _attribute(value) for name, value in attributes.items()})
        for sequence in records.distinct():
            first, *others = map(hdf5_name, ids[sequence.digest])
            file[first] = array_of(sequence)
            for other in others:
                file[other] = file[first]


def _attribute(value: Any) -> Any:
    return np.array(value, dtype=h5py.string_dtype()) if isinstance(value, list | tuple) else value


def write_scans(
    path: Path,
    chosen: Iterable[tuple[str, NormalisedSequence]],
    scan_of: Callable[[NormalisedSequence], np.ndarray],
    letters: str,
    first_residue: int,
) -> None:
    """Write scan.tsv: a row for each position of some records, with the score of each letter there."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as handle:
        table = csv.writer(handle, delimiter="\t", lineterminator="\n")
        table.writerow(("id", "position", "residue", *letters))
        for identifier, sequence in chosen:
            for number, scores in enumerate(scan_of(sequence)):
                place = (identifier, number + first_residue, sequence.residues[number])
                table.writerow((*place, *(f"{score:.6g}" for score in scores.tolist())))
