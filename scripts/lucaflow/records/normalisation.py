"""From the records of a dataset to records.tsv and each distinct normalised sequence once.

Records are streamed. A first pass decides what each is by itself and writes it down; what repeats an earlier record is
then found by sorting (`duplicates`), and only where something does, a second pass corrects what was written.
"""

from __future__ import annotations

import csv
import datetime
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lucaflow.errors import InputError
from lucaflow.files.json_files import read_json
from lucaflow.files.writing import replacing, write_json
from lucaflow.records.duplicates import Ledger
from lucaflow.records.outcomes import HEADER_BYTES, NO_DEMANDS, Demands, Normaliser, Outcome, Policies, identity_of
from lucaflow.records.readers import RawRecord

RECORD_COLUMNS = (
    "record", "line", "id", "description", "seq_type", "pair", "side",
    "status", "reason", "length", "changed", "digest",
)  # fmt: skip
PROBLEM_COLUMNS = ("record", "line", "id", "problem")
_LINE, _ID, _SEQ_TYPE, _SIDE, _STATUS, _REASON, _DIGEST = (
    RECORD_COLUMNS.index(name) for name in ("line", "id", "seq_type", "side", "status", "reason", "digest")
)
_SHOWN_LETTERS = 40
_SHOWN_PROBLEMS = 10
_BUFFER_BYTES = 1 << 20
_PART_BYTES = 16 << 20
# What ended so is compared with what else has its id; where its sequence is not known, without a digest.
_COMPARED = ("accepted", "problem")
_NO_DIGEST = bytes(32)


@dataclass
class Counts:
    """How many records ended how, and what is left of them.

    changed: characters altered or removed, in `records_changed` records; lengths: distinct sequences by length.
    """

    status: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    records_changed: int = 0
    lengths: dict[int, int] = field(default_factory=dict)

    @property
    def distinct(self) -> int:
        return sum(self.lengths.values())

    @property
    def residues(self) -> int:
        """Residues of the distinct sequences."""
        return sum(length * count for length, count in self.lengths.items())

    def write(self, path: Path) -> None:
        """Write the counts, and when they were made.

        The date keeps Snakemake 9.27 from finding, in the middle of a run, that a planned `estimate` is not needed
        after all: as a checkpoint it would then count as missing, and what waits for it would run without its input.
        """
        date = datetime.datetime.now(datetime.UTC).isoformat()
        counts = {**asdict(self), "status": dict(sorted(self.status.items())), "date": date}
        write_json(path, counts)

    @classmethod
    def read(cls, path: Path) -> Counts:
        """Return the counts of a file, without its date."""
        stored = read_json(path)
        del stored["date"]
        lengths = {int(length): count for length, count in stored["lengths"].items()}
        return cls(**{**stored, "status": Counter(stored["status"]), "lengths": lengths})


@dataclass(frozen=True)
class NormalisedFiles:
    """Where the result goes; `problems` is there only after the input was refused."""

    records: Path
    sequences: Path
    labels: Path
    counts: Path
    problems: Path


def normalise_dataset(
    raw_records: Iterable[RawRecord],
    source: Path,
    seq_type: str,
    policies: Policies,
    files: NormalisedFiles,
    demands: Demands = NO_DEMANDS,
) -> Counts:
    """Write records.tsv, the labels, and each distinct normalised sequence once, in order of first appearance.

    seq_type is that of records which do not state their own. Raises InputError that shows the first ten problems; all
    of them are then in problems.tsv.
    """
    csv.field_size_limit(sys.maxsize)
    with Problems(files.problems) as problems, ExitStack() as stack:
        records, sequences, labels = (
            stack.enter_context(replacing(path, guarded=True))
            for path in (files.records, files.sequences, files.labels)
        )
        decided = with_partners(Normaliser(policies, demands), raw_records, seq_type)
        counts, ledger = _write_all(decided, seq_type, records, sequences, labels)
        if counts.status["problem"] or ledger.repeated_identities().any():
            _settle(records, Repeats(ledger, policies.duplicate_ids), counts, problems)
        if problems.count != counts.status["problem"]:
            raise RuntimeError(
                f"{source}: {counts.status['problem']} problems, of which {problems.count} were found again"
            )
        problems.refuse(source, counts.status.total())
        if not counts.status["accepted"]:
            if not counts.status:
                raise InputError(
                    f"{source}: the file holds no records. Correct the path, or take the dataset out of the table."
                )
            _refuse_dropped(records, problems)
            problems.refuse(source, counts.status.total())
        first = ledger.first_of_digest()
        if not first.all():
            _keep_sequences(sequences, first, ledger.lengths)
        lengths = np.unique(ledger.lengths[first], return_counts=True)
        counts.lengths = dict(zip(*(values.tolist() for values in lengths), strict=True))
        counts.write(files.counts)
    return counts


def with_partners(
    normaliser: Normaliser, raw_records: Iterable[RawRecord], seq_type: str
) -> Iterator[tuple[RawRecord, Outcome]]:
    """Yield each record with its outcome; one side of a pair is dropped with the other."""
    held: tuple[RawRecord, Outcome] | None = None
    for raw in raw_records:
        outcome = normaliser.outcome(raw, raw.seq_type or seq_type)
        if not raw.side:
            yield raw, outcome
        elif held is None:
            held = raw, outcome
        else:
            yield from _agree(*held, raw, outcome)
            held = None


def _agree(raw_a: RawRecord, a: Outcome, raw_b: RawRecord, b: Outcome) -> Iterator[tuple[RawRecord, Outcome]]:
    """Yield both sides of a pair, which end alike: dropped if either is."""
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
        named = f"side {raw.side}: {outcome.reason}"
        yield raw, outcome._replace(reason=named) if outcome.status == "problem" else outcome


def _write_all(
    decided: Iterable[tuple[RawRecord, Outcome]], default_type: str, records: Path, sequences: Path, labels: Path
) -> tuple[Counts, Ledger]:
    """Write every record as it is by itself, problems among them, and the sequence of each accepted one."""
    counts, ledger, other_ends = Counts(), Ledger(), Counter[str]()
    number, side_a = 0, None
    with ExitStack() as stack:
        record_file, record_table = _table(stack, records, RECORD_COLUMNS)
        _, label_table = _table(stack, labels, ("record", "label"))
        sequence_file = stack.enter_context(sequences.open("w", _BUFFER_BYTES, encoding="ascii", newline="\n"))
        for number, (raw, (status, reason, sequence, changed, digest)) in enumerate(decided, start=1):
            line, identifier, description, _, label, stated_type, pair, side, _ = raw
            seq_type, length = stated_type or default_type, len(sequence)
            if changed:
                counts.changed += changed
                counts.records_changed += 1
            # Ten million rows: csv is called only where something has to be quoted.
            text = f"{identifier}{description}{reason}"
            if text.isprintable() and '"' not in text:
                record_file.write(
                    f"{number}\t{line}\t{identifier}\t{description}\t{seq_type}\t{pair}\t{side}\t{status}\t{reason}\t"
                    f"{length}\t{changed}\t{digest}\n"
                )
            else:
                of_record = (number, line, identifier, description, seq_type, pair, side)
                record_table.writerow((*of_record, status, reason, length, changed, digest))
            if label:
                label_table.writerow((number, label))
            known = None
            if status in _COMPARED and identifier:
                identity = identity_of(seq_type, identifier)
                ledger.add(hash(identity), bytes.fromhex(digest) or _NO_DIGEST, length)
                known = (identity, digest) if status == "accepted" else None
            if side == "b" and side_a and known:
                ledger.add_pair(hash((side_a, known)))
            side_a = known
            if status == "accepted":
                sequence_file.write(f">{digest} {seq_type}\n{sequence}\n")
            else:
                other_ends[status] += 1
    counts.status = other_ends
    if number > other_ends.total():
        counts.status["accepted"] = number - other_ends.total()
    return counts, ledger


def _settle(records: Path, repeats: Repeats, counts: Counts, problems: Problems) -> None:
    """Read records.tsv again and write it anew: report every problem in order, and find what repeats a record."""
    side_a: list[list[str]] = []
    with replacing(records) as temporary, ExitStack() as stack:
        rows = csv.reader(stack.enter_context(records.open(encoding="utf-8", newline="")), delimiter="\t")
        _, table = _table(stack, temporary, next(rows))
        for row in rows:
            if row[_SIDE] == "a":
                side_a = [row]
                continue
            together = [*side_a, row]
            before = Counter(each[_STATUS] for each in together)
            repeats.settle(together)
            counts.status.subtract(before)
            counts.status.update(each[_STATUS] for each in together)
            for each in together:
                if each[_STATUS] == "problem":
                    problems.add(each[0], each[_LINE], each[_ID], each[_REASON])
                table.writerow(each)
    counts.status = +counts.status


class Repeats:
    """Finds the accepted records, and the pairs, that stand further up as well. Sees rows of records.tsv in order."""

    def __init__(self, ledger: Ledger, duplicate_ids: str) -> None:
        self._records = iter(ledger.repeated_identities().tolist())
        self._pairs = iter(ledger.repeated_pairs().tolist())
        self._refused = duplicate_ids == "error"
        self._seen: dict[tuple[str, str], tuple[str, str]] = {}
        self._seen_pairs: dict[tuple[tuple[tuple[str, str], str], ...], str] = {}

    def settle(self, together: Sequence[list[str]]) -> None:
        """Correct status and reason of a record, or of both sides of a pair, if they repeat earlier ones."""
        known = [row for row in together if row[_STATUS] in _COMPARED and row[_ID]]
        if [row[_STATUS] for row in known] == ["accepted", "accepted"] and next(self._pairs):
            self._settle_pair(*known)
        for row in known:
            if next(self._records) and row[_STATUS] != "duplicate":
                self._settle_record(row)

    def _settle_pair(self, a: list[str], b: list[str]) -> None:
        key = tuple((identity_of(row[_SEQ_TYPE], row[_ID]), row[_DIGEST]) for row in (a, b))
        line = self._seen_pairs.setdefault(key, a[_LINE])
        if line == a[_LINE]:
            return
        if self._refused:
            hint = "remove one, or set input.duplicate_ids to `first`"
            b[_STATUS], b[_REASON] = "problem", f"side b: the same pair of ids stands on line {line}; {hint}"
        else:
            for row in (a, b):
                row[_STATUS], row[_REASON] = "duplicate", f"same pair of ids as on line {line}"

    def _settle_record(self, row: list[str]) -> None:
        key = identity_of(row[_SEQ_TYPE], row[_ID])
        line, digest = self._seen.setdefault(key, (row[_LINE], row[_DIGEST]))
        # Of what was refused for its letters nobody knows the sequence.
        comparable = digest and row[_DIGEST]
        if comparable and digest != row[_DIGEST]:
            self._refuse(row, f"the id stands on line {line} with another sequence; ids must be unique")
        elif line != row[_LINE] and not row[_SIDE]:  # an id may be in any number of pairs
            if not self._refused:
                if comparable and row[_STATUS] == "accepted":
                    row[_STATUS], row[_REASON] = "duplicate", f"same id and sequence as on line {line}"
            elif comparable:
                hint = "remove one, or set input.duplicate_ids to `first`"
                self._refuse(row, f"the same id and sequence stand on line {line}; {hint}")
            else:
                self._refuse(row, f"the id stands on line {line} as well; ids must be unique")
        if not digest:
            self._seen[key] = (row[_LINE], row[_DIGEST])

    def _refuse(self, row: list[str], reason: str) -> None:
        if row[_STATUS] == "problem":
            row[_REASON] += f"; and {reason}"
        else:
            side = f"side {row[_SIDE]}: " if row[_SIDE] else ""
            row[_STATUS], row[_REASON] = "problem", f"{side}{reason}"


def _refuse_dropped(records: Path, problems: Problems) -> None:
    """Report every record: all were dropped."""
    with records.open(encoding="utf-8", newline="") as handle:
        rows = csv.reader(handle, delimiter="\t")
        next(rows)
        for row in rows:
            problems.add(row[0], row[_LINE], row[_ID], f"dropped, and no record is left: {row[_REASON]}")


def _keep_sequences(sequences: Path, kept: np.ndarray, lengths: np.ndarray) -> None:
    """Take the sequences that are not kept out of the file: whole runs of the others move up at once."""
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
    """What is wrong with a dataset: the first ten problems to show, all of them in a file.

    The file is published when the block ends, also when it ends in InputError, and removed when nothing is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.shown: list[str] = []

    def __enter__(self) -> Problems:
        self._stack = ExitStack()
        temporary = self._stack.enter_context(replacing(self.path))
        _, self._table = _table(self._stack, temporary, PROBLEM_COLUMNS)
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
            shown = identifier if len(identifier) <= _SHOWN_LETTERS else f"{identifier[:_SHOWN_LETTERS]}…"
            self.shown.append(f"  line {line}, id {shown!r}: {problem}")

    def refuse(self, source: Path, records: int) -> None:
        """Raise InputError if there is any problem."""
        if self.count:
            hidden = self.count - len(self.shown)
            more = [f"  and {hidden} more"] if hidden else []
            if 2 * self.count > records:
                more.append("Is it the right file, and are seq_type, id_column and seq_column right?")
            raise InputError(
                "\n".join(
                    [
                        f"{source}: {self.count} of {records} records cannot be used:",
                        *self.shown,
                        *more,
                        f"All of them are listed in {self.path}.",
                    ]
                )
            )


def _table(stack: ExitStack, path: Path, columns: Sequence[str]) -> tuple[TextIO, Any]:
    """Open a TSV file for writing; return it and its csv writer."""
    handle = stack.enter_context(path.open("w", _BUFFER_BYTES, encoding="utf-8", newline="\n"))
    writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    return handle, writer
