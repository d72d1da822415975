"""Feed downstream models the matrices of a folder that LucaOneApp or LucaOneTasks made, after checks of each."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lucaflow.downstream.inputs import HeadInput, rows_for_head
from lucaflow.downstream.made_elsewhere import MatrixFiles, nothing_usable, require_folder
from lucaflow.downstream.matrix_files import Matrix, parse_matrix
from lucaflow.downstream.prediction import Batch, Sides
from lucaflow.downstream.required_embeddings import EmbeddingRequest
from lucaflow.downstream.structure import HeadStructure
from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.engine.batches import plan_batches
from lucaflow.errors import InputError
from lucaflow.files.json_files import digest_of_settings
from lucaflow.files.usable import why_unusable
from lucaflow.store.assembly import AcceptedRecords

logger = logging.getLogger(__name__)

_MOST_SHOWN = 3


@dataclass(frozen=True)
class MatrixFolder:
    """The matrices of a dataset's U distinct sequences in a folder, as a downstream model reads them.

    longest: the largest number of residue rows that the model reads; widths: (U,) of the embedding that it reads of
    each sequence. problems: why a sequence has no usable matrix, by its row; read: the SHA-256 of each file
    that was read; types: of their values, with the number of files.
    """

    files: MatrixFiles
    request: EmbeddingRequest
    head_input: HeadInput
    longest: int
    accepted: AcceptedRecords
    widths: np.ndarray
    problems: dict[int, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    types: Counter[str] = field(default_factory=Counter)

    def batches(self, needed: np.ndarray, budget: int) -> Iterator[Batch]:
        """Yield the matrices of the needed sequences, each once, in batches of at most `budget` rows.

        needed: (U,) whether a sequence is to be read. A matrix that cannot be used is a problem of its sequence. Raises
        InputError if a file cannot be read now, or no sequence has a usable matrix.
        """
        require_folder(self.files.folder)
        digests = self.accepted.digests
        for row in np.flatnonzero(needed).tolist():
            if problem := self.files.problems.get(digests[row].decode()):
                self.problems[row] = problem
        rows = [row for row in np.flatnonzero(needed).tolist() if row not in self.problems]
        rows.sort(key=lambda row: self.accepted.lengths[row])
        for start, stop in plan_batches([int(self.accepted.lengths[row]) for row in rows], budget):
            found = {row: matrix for row in rows[start:stop] if (matrix := self._usable(row)) is not None}
            if found:
                yield Batch(np.array(list(found)), list(found.values()))
        if len(self.problems) == needed.sum() > 0:
            raise nothing_usable(self.files.folder, dict(sorted(self.problems.items())).values())

    def about(self) -> dict[str, Any]:
        """Return what was read, for the record of predictions."""
        return {
            "folder": str(self.files.folder),
            "files": len(self.read),
            "sha256_of_files": digest_of_settings(self.read),
            "types": dict(self.types),
            "checked": "rows and width",
        }

    def _usable(self, row: int) -> np.ndarray | None:
        """Return the rows of a sequence's matrix that the model reads; None, and a problem, if it cannot be used."""
        name = self.files.names[self.accepted.digests[row].decode()]
        path = self.files.folder / name
        if reason := why_unusable(path):
            raise InputError(f"{path}: {reason}. Mend that, or take the file out of the folder, and run again.")
        content = path.read_bytes()
        try:
            matrix = parse_matrix(name, content)
            chosen = self._rows(matrix, int(self.accepted.lengths[row]), int(self.widths[row]))
            usable = rows_for_head(
                matrix.as_float32()[chosen], self.longest, self.head_input.special, self.head_input.frame
            )
        except ValueError as error:
            self.problems[row] = f"{path} {error}"
            return None
        self.read[name] = hashlib.sha256(content).hexdigest()
        self.types[matrix.dtype] += 1
        return usable

    def _rows(self, matrix: Matrix, length: int, width: int) -> slice:
        """Return the rows of a matrix that the request is for. Raises ValueError if it is not of the sequence.

        length: residues of the sequence; width: of the embedding that the model reads.
        """
        if len(matrix.shape) != 2:
            raise ValueError(f"holds an array of shape {matrix.shape}, expected a matrix (rows, width)")
        if matrix.shape[1] != width:
            raise ValueError(f"is {matrix.shape[1]:,} wide, expected {width:,}: it is by another network")
        rows, residues = matrix.shape[0], min(length, self.request.limit)
        if rows == residues + Vocabulary.special_tokens and not rows == length > residues:
            return slice(None) if self.request.special else slice(1, -1)
        if rows != residues:
            raise ValueError(_wrong_rows(rows, length, residues))
        if self.request.special:
            raise ValueError(
                f"has {rows:,} rows, one for each residue, but the task reads those of [CLS] and [SEP] too. "
                "Embed it with `--matrix_add_special_token`"
            )
        return slice(None)


def _wrong_rows(rows: int, length: int, residues: int) -> str:
    """Return what is wrong with the rows of a matrix. residues: those of the sequence that the task wants embedded."""
    expected = f"expected {residues:,}, or {residues + Vocabulary.special_tokens:,} with [CLS] and [SEP]"
    if length > residues:
        return (
            f"has {rows:,} rows, {expected}: the sequence has {length:,} residues, and the task reads embeddings of "
            f"the first {residues:,}. Embed these (`--truncation_seq_length {residues}`)"
        )
    if rows < residues:
        return (
            f"has {rows:,} rows, {expected}: the sequence was shortened, as LucaOneApp does without a word where "
            "memory is short, or it is another one. Embed it again"
        )
    return f"has {rows:,} rows, {expected}: it is of another sequence. Embed it again"


def widths_read(structure: HeadStructure, sequence_rows: np.ndarray, sides: Sides, count: int) -> np.ndarray:
    """Return the width (U,) of the embedding that a downstream model reads of each sequence; 0 if it reads none.

    sequence_rows: (N,) the row of each record's sequence; count: U, the number of sequences.
    """
    rows = sequence_rows.reshape(sides.types.shape)
    widths = np.zeros(count, dtype=np.int64)
    for side, of_side in enumerate(rows.T):
        widths[of_side[sides.readable]] = structure.inputs[structure.tower_of(side)]
    return widths


def show_problems(folder: MatrixFolder, dataset: str, table: str) -> None:
    """Say how many sequences have no usable matrix, and why the first have none. table: that lists them all."""
    if folder.problems:
        first = list(dict.fromkeys(problem for _, problem in sorted(folder.problems.items())))[:_MOST_SHOWN]
        logger.warning(
            "%s: %d of %d sequences have no usable matrix; their records are in %s. Such as:\n  %s",
            dataset, len(folder.problems), len(folder.problems) + sum(folder.types.values()), table, "\n  ".join(first),
        )  # fmt: skip
