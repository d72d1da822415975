"""Which row of a file of variants changes which sequence of a dataset, and which rows cannot be scored?

The columns are ProteinGym's: `mutant`, and `mutated_sequence`, `DMS_score` and `DMS_score_bin` if they are there; with
`id` where a dataset has several sequences. All columns go along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lucaflow.errors import InputError, VariantError, quoted, shown
from lucaflow.records.columns import index_of, plain_name
from lucaflow.records.metadata import id_as_compared, parts_of_id
from lucaflow.records.readers import rows_and_faults
from lucaflow.records.tsv import tsv_rows
from lucaflow.records.variants import Substitution, mutated, require_sequence, substitutions_of

MUTANT, ID, SEQUENCE = "mutant", "id", "mutated_sequence"
MEASURED, BINARY = "DMS_score", "DMS_score_bin"
REASON = "reason"
# Reasons that a message lists if no row can be scored, and rows from which another numbering is guessed.
_LISTED_REASONS = 3
_ROWS_TO_GUESS = 1_000


class Target(NamedTuple):
    """A sequence that variants change: an id of it, its digest, and its residues."""

    id: str
    digest: str
    sequence: str


class Variant(NamedTuple):
    """A row of a file of variants: its line and cells, and what it changes in which sequence.

    target: None if the row names none that is there; changes: none for the wild type, and for a row with a reason why
    it cannot be scored.
    """

    line: int
    cells: Sequence[str]
    target: Target | None
    changes: tuple[Substitution, ...]
    reason: str


@dataclass(frozen=True)
class VariantColumns:
    """The names of the columns of a file of variants, and the indices of those that are used; None if missing."""

    names: tuple[str, ...]
    mutant: int
    id: int | None
    sequence: int | None
    measured: int | None
    binary: int | None

    @classmethod
    def of(cls, path: Path, line: int, header: Sequence[str], taken: Collection[str]) -> VariantColumns:
        """Return the columns of a header. taken: names that are added. Raises InputError for one that does not fit."""
        names = tuple(cell.strip() for cell in header)
        try:
            mutant = index_of(MUTANT, "variants", names, len(names), [])
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error}. Name the column of mutants `{MUTANT}`.") from None
        both = sorted(set(names) & set(taken))
        if both:
            raise InputError(f"{path}, line {line}: LucaFlow adds a column {quoted(both[0])}. Rename that of the file.")
        others = (
            next((index for index, found in enumerate(names) if plain_name(found) == plain_name(name)), None)
            for name in (ID, SEQUENCE, MEASURED, BINARY)
        )
        return cls(names, mutant, *others)


class Targets:
    """The sequences that the rows of a file of variants name by `id`, or the only one of a dataset."""

    def __init__(self, found: Collection[Target], only: Target | None) -> None:
        self._only = only
        self._by_id = {id_as_compared(target.id): target for target in found}
        self._by_part: dict[str, Target | None] = {}
        for key, target in self._by_id.items():
            for part in parts_of_id(key):
                known = self._by_part.setdefault(part, target)
                if known is None or known.digest != target.digest:
                    self._by_part[part] = None

    def find(self, identifier: str | None) -> Target:
        """Return the sequence of a row. identifier: None if the file has no ids. Raises VariantError."""
        if self._only and not identifier:
            return self._only
        key = id_as_compared(identifier or "")
        if not key:
            raise VariantError(f"the cell `{ID}` is empty, and the dataset has several sequences")
        if key in self._by_id:
            return self._by_id[key]
        if key not in self._by_part:
            parts = [part for part in parts_of_id(key) if part in self._by_id]
            if len(parts) != 1:
                raise VariantError(f"the dataset has no accepted record {quoted(key)}")
            return self._by_id[parts[0]]
        target = self._by_part[key]
        if target is None:
            raise VariantError(f"several records of the dataset match {quoted(key)}")
        return target


def read_columns(path: Path, taken: Collection[str] = ()) -> VariantColumns:
    """Return the columns of a file of variants. taken: names that are added to them.

    Raises InputError for a file that cannot be read, or without the column `mutant`.
    """
    rows = rows_and_faults(path, only=MUTANT)
    line, header, _ = next(rows)
    return VariantColumns.of(path, line, header, taken)


def find_targets(path: Path, columns: VariantColumns, records: Path, sequences: Path) -> Targets:
    """Return the sequences that a file of variants names.

    records: records.tsv of the dataset; sequences: its distinct sequences. Raises InputError if the file has no ids,
    and the dataset has several sequences.
    """
    wanted = None if columns.id is None else _ids_in(path, columns.id)
    found, digests = _records_named(records, wanted)
    only = len(digests) == 1
    if wanted is None and not only:
        count = "several" if len(digests) > 1 else "no"
        raise InputError(
            f"{path}: the dataset has {count} sequences. Name the one that each row changes in a column `{ID}`."
        )
    residues = _residues_of({digest for _, digest in found} | digests, sequences)
    targets = [Target(identifier, digest, residues[digest]) for identifier, digest in found]
    return Targets(targets, targets[0] if only and targets else None)


def _ids_in(path: Path, index: int) -> set[str]:
    rows = rows_and_faults(path, only=MUTANT)
    next(rows)
    keys = {id_as_compared(cells[index].strip()) for _, cells, fault in rows if not fault}
    return keys | {part for key in keys for part in parts_of_id(key)}


def _records_named(records: Path, wanted: set[str] | None) -> tuple[list[tuple[str, str]], set[str]]:
    """Return id and digest of the accepted records that are wanted (None for all), and two distinct digests of all.

    Of a dataset with a single distinct sequence its first record is returned in any case.
    """
    found: list[tuple[str, str]] = []
    digests: set[str] = set()
    with ExitStack() as stack:
        rows = tsv_rows(stack, records)
        names = next(rows)
        at = [names.index(name) for name in ("status", "id", "digest")]
        first = None
        for row in rows:
            status, identifier, digest = (row[index] for index in at)
            if status != "accepted":
                continue
            first = first or (identifier, digest)
            if len(digests) < 2:
                digests.add(digest)
            key = id_as_compared(identifier)
            if wanted is not None and (key in wanted or not wanted.isdisjoint(parts_of_id(key))):
                found.append((identifier, digest))
            elif wanted is None and len(digests) > 1:
                break
    if len(digests) == 1 and first and first not in found:
        found.insert(0, first)
    return found, digests


def _residues_of(digests: set[str], sequences: Path) -> dict[str, str]:
    """Return the residues of some distinct sequences, by digest."""
    found = {}
    with sequences.open(encoding="ascii") as lines:
        for header in lines:
            residues = next(lines)
            digest = header[1:65]
            if digest in digests:
                found[digest] = residues.rstrip("\n")
                if len(found) == len(digests):
                    break
    return found


def read_variants(
    path: Path, columns: VariantColumns, targets: Targets, seq_type: str, first_residue: int
) -> Iterator[Variant]:
    """Yield each row of a file of variants, with its changes, or the reason why it cannot be scored.

    first_residue: the number of a sequence's first residue.
    """
    rows = rows_and_faults(path, only=MUTANT)
    next(rows)
    for line, cells, fault in rows:
        target = None
        changes: tuple[Substitution, ...] = ()
        reason = ""
        try:
            if fault:
                raise VariantError(fault)
            target = targets.find(None if columns.id is None else cells[columns.id].strip())
            changes = substitutions_of(cells[columns.mutant], target.sequence, seq_type, first_residue)
            if columns.sequence is not None:
                expected = mutated(target.sequence, changes)
                require_sequence(cells[columns.sequence], expected, seq_type, first_residue)
        except VariantError as error:
            changes, reason = (), f"line {line}: {error}"
        yield Variant(line, cells, target, changes, reason)


def refuse_unscored(path: Path, variants: Sequence[Variant], columns: VariantColumns, first_residue: int) -> None:
    """Raise InputError for a file of which no row can be scored, with the most frequent reasons. variants: its rows."""
    reasons = Counter(variant.reason.partition(": ")[2] for variant in variants[:_ROWS_TO_GUESS])
    listed = "; ".join(f"{shown(reason)} ({count} times)" for reason, count in reasons.most_common(_LISTED_REASONS))
    first = _numbering_that_fits([(v.target, v.cells[columns.mutant]) for v in variants[:_ROWS_TO_GUESS]])
    hint = ""
    if first is not None and first != first_residue:
        hint = f" The letters fit if the first residue has the number {first}: set scores.first_residue to it."
    raise InputError(
        f"{path}: no row can be scored: {listed or 'it has no rows'}.{hint or ' Are these variants of this dataset?'}"
    )


def _numbering_that_fits(rows: Sequence[tuple[Target | None, str]]) -> int | None:
    """Return the number of the first residue with which the old letters of all rows fit, if there is just one."""
    wanted: dict[str, dict[int, str]] = {}
    sequences: dict[str, str] = {}
    for target, mutant in rows:
        for part in mutant.strip().split(":") if target else ():
            old, number = part[:1], part[1:-1]
            if target and old.isalpha() and number.lstrip("-").isdecimal():
                wanted.setdefault(target.digest, {})[int(number)] = old
                sequences[target.digest] = target.sequence
    if sum(map(len, wanted.values())) < 3:
        return None
    fitting: set[int] | None = None
    for digest, letters in wanted.items():
        sequence = sequences[digest]
        lowest, highest = min(letters), max(letters)
        starts = {
            first
            for first in range(highest - len(sequence) + 1, lowest + 1)
            if all(sequence[number - first] == old for number, old in letters.items())
        }
        fitting = starts if fitting is None else fitting & starts
    return fitting.pop() if fitting and len(fitting) == 1 else None


@dataclass(frozen=True)
class VariantsOfDataset:
    """A file of variants, and the sequences of a dataset that it names."""

    path: Path
    columns: VariantColumns
    targets: Targets
    seq_type: str
    first_residue: int
    methods: tuple[str, ...]

    @classmethod
    def read(
        cls, path: Path, records: Path, sequences: Path, seq_type: str, first_residue: int, methods: Sequence[str]
    ) -> VariantsOfDataset:
        """Read the columns, and find the sequences. Raises InputError for a file that cannot be used."""
        columns = read_columns(path, (*methods, REASON))
        targets = find_targets(path, columns, records, sequences)
        return cls(path, columns, targets, seq_type, first_residue, tuple(methods))

    def rows(self) -> Iterator[Variant]:
        """Yield the rows of the file, each time from the first one on."""
        return read_variants(self.path, self.columns, self.targets, self.seq_type, self.first_residue)

    def require_some(self) -> None:
        """Raise InputError if no row can be scored."""
        refused: list[Variant] = []
        for variant in self.rows():
            if not variant.reason and variant.changes:
                return
            if len(refused) < _ROWS_TO_GUESS:
                refused.append(variant)
        refuse_unscored(self.path, refused, self.columns, self.first_residue)
