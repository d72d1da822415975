"""What each input record becomes: normalised, a duplicate, dropped, or a problem that stops the dataset."""

from __future__ import annotations

import csv
import hashlib
import logging
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from lucaflow.errors import InputError
from lucaflow.files import replacing
from lucaflow.readers import RawRecord

logger = logging.getLogger(__name__)

ALGORITHM_VERSION = 1
RECORD_COLUMNS = (
    "record", "line", "id", "description", "seq_type", "pair", "side",
    "status", "reason", "length", "changed", "digest",
)  # fmt: skip
PROBLEM_COLUMNS = ("record", "line", "id", "problem")

_BLANK = re.compile(r"[^\S\n]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NO_LETTER = re.compile(r"[^A-Z]")
_CLEAN = {"gene": re.compile(r"[A-TV-Z\n]*"), "prot": re.compile(r"[A-Z\n]*")}
_UNKNOWN = {"gene": "N", "prot": "X"}
_NUCLEOTIDES = frozenset("ATCGUN")
_NUCLEOTIDE_CODES = frozenset("ATCGUNRYSWKMBDHVX")
# Shares of A, C, G, T, U and N from which a sequence counts as a gene: any, and a short one of nucleotide codes alone.
_GENE_LIKE = 0.9
_GENE_LIKE_WITH_CODES = 0.5
# Shorter than this, a peptide may well consist of A, C, G, T, U and N, or of nucleotide codes, alone.
_SHORT = 20
_SHOWN_PROBLEMS = 10
# Bytes, on all common file systems.
_LONGEST_FILE_NAME = 255


@dataclass(frozen=True)
class Demands:
    """What outputs and exports ask of a record that is sound in itself.

    longest: residues up to which contacts are computed; file_names: whether each record gets a file of its own.
    """

    longest: int | None = None
    file_names: bool = False


NO_DEMANDS = Demands()


@dataclass(frozen=True)
class Policies:
    """What a doubtful record gets; names and values as in the configuration."""

    invalid_characters: str = "error"
    duplicate_ids: str = "error"
    type_mismatch: str = "error"
    empty_sequences: str = "error"


class Normalised(NamedTuple):
    """A sequence in upper case (genes with U as T), and how many characters were altered or removed."""

    sequence: str
    changed: int


class Outcome(NamedTuple):
    """What became of a record: `accepted`, `duplicate`, `dropped`, or a `problem` that refuses the dataset."""

    status: str
    reason: str = ""
    sequence: str = ""
    changed: int = 0
    digest: str = ""


def digest_of(seq_type: str, sequence: str) -> str:
    """Return the hex SHA-256 by which a normalised sequence is known."""
    return hashlib.sha256(f"{seq_type}\n{sequence}".encode()).hexdigest()


def normalise(text: str, seq_type: str, invalid_characters: str) -> Normalised:
    """Normalise the text of one sequence; line feeds in it are layout and not counted.

    Letters become upper case, blanks and stops at the end go, U becomes T in genes. A character that is no letter
    A to Z is refused (`error`), removed (`drop`, as LucaOne does it) or becomes X or N (`unknown`).
    Raises ValueError that says where the first refused character stands.
    """
    if _CLEAN[seq_type].fullmatch(text):
        return Normalised(text.replace("\n", ""), 0)
    compact = _BLANK.sub("", text).rstrip("*\n")
    if invalid_characters == "drop":
        sequence = _NO_LETTER.sub("", compact.upper())
    else:
        sequence = _upper_ascii(compact).replace("\n", "")
        bad = _NO_LETTER.search(sequence)
        if bad and invalid_characters == "error":
            raise ValueError(_describe(text, bad.group()))
        sequence = _NO_LETTER.sub(_UNKNOWN[seq_type], sequence)
    if seq_type == "gene":
        sequence = sequence.replace("U", "T")
    return Normalised(sequence, _count_changes(text.replace("\n", ""), sequence, seq_type))


def _upper_ascii(text: str) -> str:
    """Upper-case a to z alone: `str.upper` would turn other characters into letters."""
    return text.upper() if text.isascii() else re.sub("[a-z]+", lambda found: found.group().upper(), text)


def _count_changes(text: str, sequence: str, seq_type: str) -> int:
    """Count the characters of `text` that are gone or differ: what stayed is what is a residue already."""
    kept = len(_NO_LETTER.sub("", text)) - (text.count("U") if seq_type == "gene" else 0)
    return max(len(text), len(sequence)) - kept


def _describe(text: str, character: str) -> str:
    """Say where a character stands: line and column for wrapped text, else the position."""
    place = text.rstrip("* \n").find(character)
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place)
    where = f"column {column} of line {line} below the header" if "\n" in text.strip("\n") else f"position {column}"
    return (
        f"{character!r} at {where} is no residue code (A to Z); remove it, or set input.invalid_characters "
        "to `drop` or `unknown`"
    )


def type_doubt(sequence: str, seq_type: str) -> str:
    """Return why a normalised sequence does not look like its type, or an empty text.

    LucaOne's heuristic (a gene is at least 90 % A, C, G, T, U or N; a protein is not, unless it starts with M), but a
    gene may be rich in IUPAC ambiguity codes.
    """
    if seq_type == "prot" and sequence.startswith("M"):
        return ""
    nucleotides = sum(map(sequence.count, _NUCLEOTIDES)) / len(sequence)
    if seq_type == "prot" and nucleotides >= _GENE_LIKE:
        return "looks like a nucleotide sequence, but the dataset's seq_type is prot"
    if seq_type == "gene" and nucleotides < _GENE_LIKE:
        codes_only = _NUCLEOTIDE_CODES.issuperset(sequence)
        if not codes_only or (nucleotides < _GENE_LIKE_WITH_CODES and len(sequence) < _SHORT):
            return "looks like a protein, but the dataset's seq_type is gene"
    return ""


@dataclass
class Counts:
    """How many records ended how, and what is left of them."""

    status: Counter[str] = field(default_factory=Counter)
    distinct: int = 0
    residues: int = 0
    changed: int = 0


class Normaliser:
    """Decides the outcome of records one after another; holds about 300 bytes a record, and no sequence."""

    def __init__(self, seq_type: str, policies: Policies, demands: Demands = NO_DEMANDS) -> None:
        self.seq_type = seq_type
        self.policies = policies
        self.demands = demands
        self._line_of_name: dict[str, int] = {}
        self._record_of_id: dict[bytes, int] = {}
        self._line = array("Q")
        self._digest = bytearray()
        self._sequences: set[bytes] = set()

    def outcome(self, raw: RawRecord) -> Outcome:
        """Return what becomes of a record. A bad one raises nothing, so that all can be shown at once."""
        try:
            check_id(raw.id)
            sequence, changed = normalise(raw.text, self.seq_type, self.policies.invalid_characters)
        except ValueError as error:
            return Outcome("problem", str(error))
        if not sequence:
            if self.policies.empty_sequences == "drop":
                return Outcome("dropped", "no residue in the sequence", changed=changed)
            return Outcome("problem", "no residue in the sequence; remove it, or set input.empty_sequences to `drop`")
        doubt = type_doubt(sequence, self.seq_type)
        short_peptide = self.seq_type == "prot" and len(sequence) < _SHORT
        if doubt and not short_peptide and self.policies.type_mismatch == "error":
            hint = "correct seq_type or seq_column in the table of datasets, or set input.type_mismatch to `accept`"
            return Outcome("problem", f"{sequence[:20]!r}... {doubt}; {hint}")
        digest = digest_of(self.seq_type, sequence)
        identified = self._identify(raw, Outcome("accepted", doubt, sequence, changed, digest))
        return self._meet(raw, identified) if identified.status == "accepted" else identified

    def _meet(self, raw: RawRecord, outcome: Outcome) -> Outcome:
        """Refuse an accepted record that an output or an export cannot take."""
        length, longest = len(outcome.sequence), self.demands.longest
        if longest is not None and length > longest:
            return Outcome(
                "problem",
                f"{length} residues, but contacts are computed up to {longest} (embedding.contacts_max_length, or "
                "embedding_fixed_len_a_time if that is less); raise the limit or leave the record out",
            )
        if not self.demands.file_names:
            return outcome
        name = file_name_of(raw.id, raw.description)
        line = self._line_of_name.setdefault(name, raw.line)
        hint = "rename one, or take `lucaone` out of `export`"
        if line != raw.line:
            return Outcome("problem", f"the export `lucaone` calls its file {name!r}, like that of line {line}; {hint}")
        size = len(f"vector_{name}.pt".encode())
        if size > _LONGEST_FILE_NAME:
            limit = f"{size} bytes, of at most {_LONGEST_FILE_NAME}"
            return Outcome("problem", f"the export `lucaone` would call its file {name[:40]!r}..., {limit}; {hint}")
        return outcome

    def _identify(self, raw: RawRecord, outcome: Outcome) -> Outcome:
        """Compare with what stood under this id before. Ids are compared in Unicode's form NFC."""
        digest = bytes.fromhex(outcome.digest)
        key = hashlib.blake2b(unicodedata.normalize("NFC", raw.id).encode(), digest_size=16).digest()
        earlier = self._record_of_id.setdefault(key, len(self._line))
        if earlier == len(self._line):
            self._line.append(raw.line)
            self._digest += digest
            return outcome
        line = self._line[earlier]
        if self._digest[32 * earlier : 32 * earlier + 32] != digest:
            return Outcome("problem", f"the id stands on line {line} with another sequence; ids must be unique")
        if self.policies.duplicate_ids == "error":
            hint = "remove one, or set input.duplicate_ids to `first`"
            return Outcome("problem", f"the same id and sequence stand on line {line}; {hint}")
        return outcome._replace(status="duplicate", reason=f"same id and sequence as on line {line}")

    def is_first(self, outcome: Outcome) -> bool:
        """Say whether an accepted sequence is the first of its kind, and remember it."""
        before = len(self._sequences)
        self._sequences.add(bytes.fromhex(outcome.digest))
        return len(self._sequences) > before


def file_name_of(identifier: str, description: str) -> str:
    """Return what LucaOneApp calls a record in its files' names: the header line without blanks, `/` and `|` as `_`."""
    title = f"{identifier} {description}".strip()
    return title.removeprefix(">").replace(" ", "").replace("/", "_").replace("|", "_").replace("\0", "")


def check_id(identifier: str) -> None:
    """Raise ValueError for an id that is empty or holds control characters."""
    if not identifier:
        raise ValueError("the record has no id; give it one")
    bad = _CONTROL.search(identifier)
    if bad:
        raise ValueError(f"the id {identifier!r} holds the control character {bad.group()!r}; remove it")


@dataclass(frozen=True)
class NormalisedFiles:
    """Where the result goes; `problems` is there only after the input was refused."""

    records: Path
    sequences: Path
    labels: Path
    problems: Path


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
        self._writer = _table(self._stack, self.path, PROBLEM_COLUMNS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        publish = kind is None or issubclass(kind, InputError)
        self._stack.__exit__(*((None, None, None) if publish else (kind, error, trace)))
        if not self.count:
            self.path.unlink(missing_ok=True)

    def add(self, record: int, raw: RawRecord, problem: str) -> None:
        self.count += 1
        self._writer.writerow((record, raw.line, raw.id, problem))
        if self.count <= _SHOWN_PROBLEMS:
            self.shown.append(f"  line {raw.line}, id {raw.id!r}: {problem}")

    def refuse(self, source: Path, records: int) -> None:
        """Raise InputError if there is any problem."""
        if self.count:
            hidden = self.count - len(self.shown)
            more = [f"  and {hidden} more"] if hidden else []
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


def normalise_dataset(
    raw_records: Iterable[RawRecord],
    source: Path,
    seq_type: str,
    policies: Policies,
    files: NormalisedFiles,
    demands: Demands = NO_DEMANDS,
) -> Counts:
    """Write records.tsv, the labels, and each distinct normalised sequence once, in order of first appearance.

    Raises InputError that shows the first ten problems; all of them are then in problems.tsv.
    """
    normaliser, counts = Normaliser(seq_type, policies, demands), Counts()
    with Problems(files.problems) as problems, ExitStack() as stack:
        records = _table(stack, files.records, RECORD_COLUMNS)
        labels = _table(stack, files.labels, ("record", "label"))
        sequences = _open(stack, files.sequences)
        number = 0
        for number, raw in enumerate(raw_records, start=1):
            outcome = normaliser.outcome(raw)
            counts.status[outcome.status] += 1
            if outcome.status == "problem":
                problems.add(number, raw, outcome.reason)
                continue
            counts.changed += outcome.changed
            status, reason, sequence, changed, digest = outcome
            records.writerow(
                (number, raw.line, raw.id, raw.description, seq_type, "", "", status, reason,
                 len(sequence), changed, digest)
            )  # fmt: skip
            labels.writerow((number, raw.label))
            if status == "accepted" and normaliser.is_first(outcome):
                counts.distinct += 1
                counts.residues += len(sequence)
                sequences.write(f">{digest} {seq_type}\n{sequence}\n")
        problems.refuse(source, number)
        if not counts.status["accepted"]:
            raise InputError(
                f"{source}: no record is left of {number}, all were dropped. See input.empty_sequences."
                if number
                else f"{source}: the file holds no records. Correct the path, or take the dataset out of the table."
            )
    return counts


def _open(stack: ExitStack, path: Path) -> TextIO:
    temporary = stack.enter_context(replacing(path))
    return stack.enter_context(temporary.open("w", encoding="utf-8", newline="\n"))


def _table(stack: ExitStack, path: Path, columns: tuple[str, ...]) -> Any:
    """Open a TSV file for writing; return its csv writer."""
    writer = csv.writer(_open(stack, path), delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    return writer
