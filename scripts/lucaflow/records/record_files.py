"""How does a dataset become records.tsv and a file with each distinct normalised sequence once?

Records are streamed. A first pass decides the outcome of each record by itself and writes it to records.tsv. Repeated
records are then found by sorting (`duplicates`). Only if there are repeats or problems, a second pass corrects
records.tsv.
"""

from __future__ import annotations

import csv
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lucaflow.errors import InputError, quoted
from lucaflow.files.writing import replacing, temporary_beside
from lucaflow.records.counts import Counts
from lucaflow.records.duplicates import SeenRecords
from lucaflow.records.further_columns import NO_COLUMNS, FoundColumns
from lucaflow.records.joining import JoinedFiles, join
from lucaflow.records.metadata import Metadata
from lucaflow.records.outcomes import (
    HEADER_BYTES,
    NO_REQUIREMENTS,
    Normaliser,
    Outcome,
    Policies,
    Requirements,
    identity_of,
)
from lucaflow.records.readers import RawRecord
from lucaflow.records.tsv import open_tsv

RECORD_COLUMNS = (
    "record", "line", "id", "description", "seq_type", "pair", "side",
    "status", "reason", "length", "changed", "digest",
)  # fmt: skip
PROBLEM_COLUMNS = ("record", "line", "id", "problem")
_LINE, _ID, _SEQ_TYPE, _SIDE, _STATUS, _REASON, _DIGEST = (
    RECORD_COLUMNS.index(name) for name in ("line", "id", "seq_type", "side", "status", "reason", "digest")
)
_SHOWN_PROBLEMS = 10
_BUFFER_BYTES = 1 << 20
_PART_BYTES = 16 << 20
# Records with these statuses are compared with others of the same id. If a sequence is unknown, it has no digest.
_COMPARED_STATUSES = ("accepted", "problem")
_NO_DIGEST = bytes(32)


@dataclass(frozen=True)
class NormalisedFiles:
    """Paths of the results; `problems` exists only if the input was refused."""

    records: Path
    sequences: Path
    labels: Path
    counts: Path
    problems: Path

    @property
    def columns(self) -> Path:
        """The further columns of the records, beside the labels."""
        return self.labels.with_name("columns.tsv")

    @property
    def metadata_problems(self) -> Path:
        """Ids of records without metadata, and of metadata without a record."""
        return self.records.with_name("metadata.problems.tsv")


def normalise_dataset(
    raw_records: Iterable[RawRecord],
    source: Path,
    seq_type: str,
    policies: Policies,
    files: NormalisedFiles,
    requirements: Requirements = NO_REQUIREMENTS,
    notes: Sequence[str] = (),
    found: FoundColumns = NO_COLUMNS,
    metadata: Metadata | None = None,
) -> Counts:
    """Write records.tsv, the labels, the further columns, and each distinct normalised sequence once, in order of first
    appearance.

    seq_type: the type of records that do not state their own; notes: about how the file was read, complete once the
    last record is read; they are written with the counts; found: what the reader found, complete with the first record;
    metadata: joined with the accepted records. Raises InputError that shows the first ten problems; all problems are
    then in problems.tsv.
    """
    csv.field_size_limit(sys.maxsize)
    with Problems(files.problems) as problems, ExitStack() as stack:
        records, sequences, labels, columns = (
            stack.enter_context(replacing(path))
            for path in (files.records, files.sequences, files.labels, files.columns)
        )
        own_columns = stack.enter_context(temporary_beside(files.columns)) if metadata else columns
        records_with_outcomes = with_outcomes(Normaliser(policies, requirements), raw_records, seq_type)
        tables = _Tables(records, labels, own_columns)
        counts, seen = _write_all(records_with_outcomes, seq_type, tables, sequences, found)
        if counts.status["problem"] or seen.repeated_ids().any():
            _mark_duplicates(records, DuplicateMarker(seen, policies.duplicate_ids), counts, problems)
        if problems.count != counts.status["problem"]:
            raise RuntimeError(
                f"{source}: {counts.status['problem']} problems were counted, but {problems.count} were listed"
            )
        problems.refuse(source, counts.status.total())
        if not counts.status["accepted"]:
            _refuse_empty(source, records, counts, problems)
        first = seen.first_occurrences()
        if not first.all():
            _remove_repeated_sequences(sequences, first, seen.lengths)
        lengths = np.unique(seen.lengths[first], return_counts=True)
        counts.lengths = dict(zip(*(values.tolist() for values in lengths), strict=True))
        counts.notes = list(notes)
        if metadata:
            joined = JoinedFiles(records, own_columns, columns, labels, files.metadata_problems)
            counts.notes.append(join(metadata, source, joined, found))
        counts.write(files.counts)
    return counts


class _Tables(NamedTuple):
    """Temporary files with a row for each record; that of labels and that of columns only for records that have any."""

    records: Path
    labels: Path
    columns: Path


def with_outcomes(
    normaliser: Normaliser, raw_records: Iterable[RawRecord], seq_type: str
) -> Iterator[tuple[RawRecord, Outcome]]:
    """Yield each record with its outcome. If one side of a pair is dropped, so is the other."""
    side_a: tuple[RawRecord, Outcome] | None = None
    for raw in raw_records:
        outcome = normaliser.outcome(raw, raw.seq_type or seq_type)
        if not raw.side:
            yield raw, outcome
        elif side_a is None:
            side_a = raw, outcome
        else:
            yield from _outcomes_of_pair(*side_a, raw, outcome)
            side_a = None


def _outcomes_of_pair(
    raw_a: RawRecord, a: Outcome, raw_b: RawRecord, b: Outcome
) -> Iterator[tuple[RawRecord, Outcome]]:
    """Yield both sides of a pair with their outcomes. Both are dropped if either is."""
    if {a.status, b.status} == {"accepted", "dropped"}:
        a, b = (
            outcome
            if outcome.status == "dropped"
            else Outcome(
                "dropped", "the other side of the pair has no residue in its sequence", changed=outcome.changed
            )
            for outcome in (a, b)
        )
    for raw, outcome in ((raw_a, a), (raw_b, b)):
        reason = f"side {raw.side}: {outcome.reason}"
        yield raw, outcome._replace(reason=reason) if outcome.status == "problem" else outcome


def _write_all(
    records_with_outcomes: Iterable[tuple[RawRecord, Outcome]],
    default_type: str,
    tables: _Tables,
    sequences: Path,
    found: FoundColumns,
) -> tuple[Counts, SeenRecords]:
    """Write the outcome of every record by itself, including problems, and the sequence of each accepted record."""
    counts, seen, other_statuses = Counts(), SeenRecords(), Counter[str]()
    number, side_a = 0, None
    with ExitStack() as stack:
        record_file, record_table = open_tsv(stack, tables.records, RECORD_COLUMNS)
        _, label_table = open_tsv(stack, tables.labels, ("record", "label"))
        sequence_file = stack.enter_context(sequences.open("w", _BUFFER_BYTES, encoding="ascii", newline="\n"))
        # The names of the columns are known once the first record is read.
        first = [*islice(remaining := iter(records_with_outcomes), 1)]
        _, column_table = open_tsv(stack, tables.columns, ("record", *found.names))
        for number, (raw, (status, reason, sequence, changed, digest)) in enumerate(chain(first, remaining), start=1):
            line, identifier, description, _, label, stated_type, pair, side, _, cells = raw
            seq_type, length = stated_type or default_type, len(sequence)
            counts.changed += changed
            counts.records_changed += bool(changed)
            # There may be ten million rows, so csv is called only if a cell needs quotation marks.
            text = f"{identifier}{description}{reason}"
            if text.isprintable() and '"' not in text:
                record_file.write(
                    f"{number}\t{line}\t{identifier}\t{description}\t{seq_type}\t{pair}\t{side}\t{status}\t{reason}\t"
                    f"{length}\t{changed}\t{digest}\n"
                )
            else:
                first_cells = (number, line, identifier, description, seq_type, pair, side)
                record_table.writerow((*first_cells, status, reason, length, changed, digest))
            if label:
                label_table.writerow((number, label))
            if cells:
                column_table.writerow((number, *cells))
            accepted_key = None
            if status in _COMPARED_STATUSES and identifier:
                identity = identity_of(seq_type, identifier)
                seen.add(hash(identity), bytes.fromhex(digest) or _NO_DIGEST, length)
                accepted_key = (identity, digest) if status == "accepted" else None
            if side == "b" and side_a and accepted_key:
                seen.add_pair(hash((side_a, accepted_key)))
            side_a = accepted_key
            if status == "accepted":
                sequence_file.write(f">{digest} {seq_type}\n{sequence}\n")
            else:
                other_statuses[status] += 1
    counts.status = other_statuses + Counter(accepted=number - other_statuses.total())
    return counts, seen


def _mark_duplicates(records: Path, marker: DuplicateMarker, counts: Counts, problems: Problems) -> None:
    """Rewrite records.tsv: mark repeated records, and report every problem in order."""
    side_a: list[list[str]] = []
    with replacing(records) as temporary, ExitStack() as stack:
        rows = csv.reader(stack.enter_context(records.open(encoding="utf-8", newline="")), delimiter="\t")
        _, table = open_tsv(stack, temporary, next(rows))
        for row in rows:
            if row[_SIDE] == "a":
                side_a = [row]
                continue
            group = [*side_a, row]
            before = Counter(each[_STATUS] for each in group)
            marker.mark(group)
            counts.status.subtract(before)
            counts.status.update(each[_STATUS] for each in group)
            for each in group:
                if each[_STATUS] == "problem":
                    problems.add(each[0], each[_LINE], each[_ID], each[_REASON])
                table.writerow(each)
    counts.status = +counts.status


class DuplicateMarker:
    """Marks records and pairs that repeat earlier ones. Takes the rows of records.tsv in order."""

    def __init__(self, seen: SeenRecords, duplicate_ids: str) -> None:
        self._records = iter(seen.repeated_ids().tolist())
        self._pairs = iter(seen.repeated_pairs().tolist())
        self._duplicates_refused = duplicate_ids == "error"
        self._seen: dict[tuple[str, str], tuple[str, str]] = {}
        self._seen_pairs: dict[tuple[tuple[tuple[str, str], str], ...], str] = {}

    def mark(self, group: Sequence[list[str]]) -> None:
        """Correct status and reason of one record, or of both sides of a pair, if they repeat earlier ones."""
        compared = [row for row in group if row[_STATUS] in _COMPARED_STATUSES and row[_ID]]
        if [row[_STATUS] for row in compared] == ["accepted", "accepted"] and next(self._pairs):
            self._mark_pair(*compared)
        for row in compared:
            if next(self._records) and row[_STATUS] != "duplicate":
                self._mark_record(row)

    def _mark_pair(self, a: list[str], b: list[str]) -> None:
        key = tuple((identity_of(row[_SEQ_TYPE], row[_ID]), row[_DIGEST]) for row in (a, b))
        line = self._seen_pairs.setdefault(key, a[_LINE])
        if line == a[_LINE]:
            return
        if self._duplicates_refused:
            hint = "remove one, or set input.duplicate_ids to `first`"
            b[_STATUS], b[_REASON] = "problem", f"side b: the same pair of ids is on line {line}; {hint}"
        else:
            for row in (a, b):
                row[_STATUS], row[_REASON] = "duplicate", f"same pair of ids as on line {line}"

    def _mark_record(self, row: list[str]) -> None:
        key = identity_of(row[_SEQ_TYPE], row[_ID])
        line, digest = self._seen.setdefault(key, (row[_LINE], row[_DIGEST]))
        # The sequence of a record that was refused for its characters is unknown.
        comparable = digest and row[_DIGEST]
        if comparable and digest != row[_DIGEST]:
            self._mark_problem(row, f"the same id is on line {line} with another sequence; ids must be unique")
        elif line != row[_LINE] and not row[_SIDE]:  # an id may be in several pairs
            if not self._duplicates_refused:
                if comparable and row[_STATUS] == "accepted":
                    row[_STATUS], row[_REASON] = "duplicate", f"same id and sequence as on line {line}"
            elif comparable:
                hint = "remove one, or set input.duplicate_ids to `first`"
                self._mark_problem(row, f"the same id and sequence are on line {line}; {hint}")
            else:
                self._mark_problem(row, f"the same id is on line {line}; ids must be unique")
        if not digest:
            self._seen[key] = (row[_LINE], row[_DIGEST])

    def _mark_problem(self, row: list[str], reason: str) -> None:
        if row[_STATUS] == "problem":
            row[_REASON] += f"; and {reason}"
        else:
            side = f"side {row[_SIDE]}: " if row[_SIDE] else ""
            row[_STATUS], row[_REASON] = "problem", f"{side}{reason}"


def _refuse_empty(source: Path, records: Path, counts: Counts, problems: Problems) -> None:
    """Raise InputError for a dataset without records; if all were dropped, every one is reported as a problem."""
    if not counts.status:
        raise InputError(
            f"{source}: the file holds no records. Correct the path, or remove the dataset from the table."
        )
    with records.open(encoding="utf-8", newline="") as handle:
        rows = csv.reader(handle, delimiter="\t")
        next(rows)
        for row in rows:
            problems.add(row[0], row[_LINE], row[_ID], f"dropped, and no record is left: {row[_REASON]}")
    problems.refuse(source, counts.status.total())


def _remove_repeated_sequences(sequences: Path, kept: np.ndarray, lengths: np.ndarray) -> None:
    """Remove the sequences that are not kept from the file. Runs of kept sequences are moved forward as a whole.

    kept: (N,) bool; lengths: (N,) residues of each sequence in the file.
    """
    ends = np.cumsum(lengths + HEADER_BYTES + 1)
    edges = np.flatnonzero(np.diff(kept, prepend=False, append=False))
    offsets = np.concatenate(([0], ends))[edges].reshape(-1, 2)
    with sequences.open("r+b") as file:
        for start, stop in offsets.tolist():
            if file.tell() == start:
                file.seek(stop)
                continue
            for part in range(start, stop, _PART_BYTES):
                file.write(os.pread(file.fileno(), min(_PART_BYTES, stop - part), part))
        file.truncate()


class Problems:
    """The problems of a dataset. The first ten are shown to the user; all are written to a file.

    The file is published when the `with` block ends, even with InputError. It is removed if there are no problems.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.shown: list[str] = []

    def __enter__(self) -> Problems:
        self._stack = ExitStack()
        temporary = self._stack.enter_context(replacing(self.path))
        _, self._table = open_tsv(self._stack, temporary, PROBLEM_COLUMNS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        publish = kind is None or issubclass(kind, InputError)
        self._stack.__exit__(*((None, None, None) if publish else (kind, error, trace)))
        if not self.count:
            self.path.unlink(missing_ok=True)

    def add(self, record: str, line: str, identifier: str, problem: str) -> None:
        self.count += 1
        self._table.writerow((record, line, identifier, problem))
        if self.count <= _SHOWN_PROBLEMS:
            self.shown.append(f"  line {line}, id {quoted(identifier)}: {problem}")

    def refuse(self, source: Path, records: int) -> None:
        """Raise InputError if there is any problem."""
        if self.count:
            hidden = self.count - len(self.shown)
            more = [f"  and {hidden} more"] if hidden else []
            if 2 * self.count > records:
                more.append("Check the path, seq_type, id_column and seq_column of this dataset.")
            raise InputError(
                "\n".join(
                    [
                        f"{source}: {self.count} of {records} records cannot be used:",
                        *self.shown,
                        *more,
                        f"All problems are listed in {self.path}.",
                    ]
                )
            )
