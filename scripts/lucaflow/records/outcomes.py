"""What does each input record become by itself: accepted, dropped, or a problem that refuses the dataset?"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from lucaflow.errors import quoted
from lucaflow.records.readers import RawRecord

_BLANK = re.compile(r"[^\S\n]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NO_LETTER = re.compile(r"[^A-Z]")
_RESIDUES = {"gene": b"ABCDEFGHIJKLMNOPQRSTVWXYZ", "prot": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_SALT = {"gene": b"gene\n", "prot": b"prot\n"}
_UNKNOWN = {"gene": "N", "prot": "X"}
_NUCLEOTIDES = b"ATCGUN"
_NUCLEOTIDE_CODES = frozenset("ATCGUNRYSWKMBDHVX")
# Shares of A, C, G, T, U and N from which a sequence counts as a gene: of any sequence, and of a short sequence that
# has only nucleotide codes.
_GENE_LIKE = 0.9
_GENE_LIKE_WITH_CODES = 0.5
# A peptide with fewer residues may by chance have only A, C, G, T, U and N, or only nucleotide codes.
_SHORT = 20
# Residues of a sequence in a message.
_SHOWN_RESIDUES = 20
# Length of a header line in files of sequences: ">", 64 hex characters, a blank, `gene` or `prot`, a line feed.
HEADER_BYTES = 71
# In bytes; the limit of all common file systems.
_LONGEST_FILE_NAME = 255


@dataclass(frozen=True)
class Requirements:
    """What the requested outputs and exports require of each record.

    longest: the most residues for which contacts are computed; file_names: whether each record gets its own file.
    """

    longest: int | None = None
    file_names: bool = False


NO_REQUIREMENTS = Requirements()


@dataclass(frozen=True)
class Policies:
    """How doubtful records are treated. Names and values are those of the configuration."""

    invalid_characters: str = "error"
    duplicate_ids: str = "error"
    type_mismatch: str = "error"
    empty_sequences: str = "error"


class Outcome(NamedTuple):
    """The outcome of a record. status: `accepted`, `duplicate`, `dropped`, or a `problem` that refuses the dataset."""

    status: str
    reason: str = ""
    sequence: str = ""
    changed: int = 0
    digest: str = ""


def digest_of(seq_type: str, sequence: str) -> str:
    """Return the hex SHA-256 that identifies a normalised sequence."""
    return sha256(_SALT[seq_type] + sequence.encode()).hexdigest()


def identity_of(seq_type: str, identifier: str) -> tuple[str, str]:
    """Return the key by which ids are compared: the type, and the id in Unicode's form NFC."""
    return seq_type, identifier if identifier.isascii() else unicodedata.normalize("NFC", identifier)


def normalise(text: str, seq_type: str, invalid_characters: str) -> tuple[str, int]:
    """Return a normalised sequence and the number of characters altered or removed, not counting line feeds.

    Letters become upper case, blanks and final stops are removed, and U becomes T in genes. Any other character than
    A to Z is refused (`error`), removed (`drop`, as LucaOne does) or replaced by X or N (`unknown`).
    Raises ValueError that gives the position of the first refused character.

    >>> normalise("acg uun*", "gene", "error")
    ('ACGTTN', 8)
    """
    compact = _BLANK.sub("", text).rstrip("*\n")
    if invalid_characters == "drop":
        sequence = _NO_LETTER.sub("", compact.upper())
    else:
        sequence = _upper_ascii(compact).replace("\n", "")
        bad = _NO_LETTER.search(sequence)
        if bad and invalid_characters == "error":
            raise ValueError(_invalid_character(text, bad.group()))
        sequence = _NO_LETTER.sub(_UNKNOWN[seq_type], sequence)
    if seq_type == "gene":
        sequence = sequence.replace("U", "T")
    return sequence, _count_changes(text.replace("\n", ""), sequence, seq_type)


def _upper_ascii(text: str) -> str:
    """Upper-case only a to z: `str.upper` would turn other characters into letters."""
    return text.upper() if text.isascii() else re.sub("[a-z]+", lambda found: found.group().upper(), text)


def _count_changes(text: str, sequence: str, seq_type: str) -> int:
    """Count the characters of `text` that were removed or altered. Those that were residues already are unchanged."""
    kept = len(_NO_LETTER.sub("", text)) - (text.count("U") if seq_type == "gene" else 0)
    return max(len(text), len(sequence)) - kept


def _invalid_character(text: str, character: str) -> str:
    """Return the message for an invalid character: its line and column in wrapped text, else its position."""
    place = text.rstrip("* \n").find(character)
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place)
    where = f"column {column} of line {line} below the header" if "\n" in text.strip("\n") else f"position {column}"
    return (
        f"{character!r} at {where} is not a residue code (A to Z); remove it, or set input.invalid_characters "
        "to `drop` or `unknown`"
    )


def type_doubt(sequence: str, seq_type: str) -> str:
    """Return why a normalised sequence does not look like its type, or an empty string.

    This is LucaOne's heuristic: a gene is at least 90 % A, C, G, T, U or N; a protein is not, unless it starts with M.
    Unlike in LucaOne, a gene may also be rich in IUPAC ambiguity codes.
    """
    if seq_type == "prot" and sequence.startswith("M"):
        return ""
    nucleotides = (len(sequence) - len(sequence.encode().translate(None, _NUCLEOTIDES))) / len(sequence)
    if seq_type == "prot" and nucleotides >= _GENE_LIKE:
        return "looks like a nucleotide sequence, but the dataset's seq_type is prot"
    if seq_type == "gene" and nucleotides < _GENE_LIKE:
        codes_only = _NUCLEOTIDE_CODES.issuperset(sequence)
        if not codes_only or (nucleotides < _GENE_LIKE_WITH_CODES and len(sequence) < _SHORT):
            return "looks like a protein, but the dataset's seq_type is gene"
    return ""


class Normaliser:
    """Decides the outcome of each record by itself. Repeated records are found later."""

    def __init__(self, policies: Policies, requirements: Requirements = NO_REQUIREMENTS) -> None:
        self.policies = policies
        self.requirements = requirements
        self._has_requirements = requirements != NO_REQUIREMENTS
        self._first_of_name: dict[str, tuple[int, str]] = {}

    def outcome(self, raw: RawRecord, seq_type: str) -> Outcome:
        """Return the outcome of a record. A bad record raises nothing, so that all problems can be shown at once."""
        return self._fast_outcome(raw, seq_type) or self._full_outcome(raw, seq_type)

    def _fast_outcome(self, raw: RawRecord, seq_type: str) -> Outcome | None:
        """Return the outcome of a record that needs no change or check; None for others.

        Most records are of this kind. The outcome is the same as `_full_outcome` gives, but faster.
        """
        if raw.fault or self._has_requirements or not raw.id or not raw.id.isprintable():
            return None
        residues = raw.text.encode(errors="replace").translate(None, b"\n")
        if not residues or residues.translate(None, _RESIDUES[seq_type]):
            return None
        # For most proteins, the first quarter is enough to show that they are not genes.
        others = len(residues[: len(residues) // 4].translate(None, _NUCLEOTIDES))
        surely_protein = others > (1 - _GENE_LIKE) * len(residues) + 1
        if seq_type == "gene" or not (surely_protein or residues.startswith(b"M")):
            share = (len(residues) - len(residues.translate(None, _NUCLEOTIDES))) / len(residues)
            if (share >= _GENE_LIKE) != (seq_type == "gene"):
                return None
        return Outcome("accepted", "", residues.decode(), 0, sha256(_SALT[seq_type] + residues).hexdigest())

    def _full_outcome(self, raw: RawRecord, seq_type: str) -> Outcome:
        """Return the outcome of any record. A problem has a digest if its sequence is valid."""
        try:
            if raw.fault:
                raise ValueError(raw.fault)
            check_id(raw.id)
            sequence, changed = normalise(raw.text, seq_type, self.policies.invalid_characters)
        except ValueError as error:
            return Outcome("problem", str(error))
        if not sequence:
            if self.policies.empty_sequences == "drop":
                return Outcome("dropped", "no residue in the sequence", changed=changed)
            return Outcome("problem", "no residue in the sequence; remove it, or set input.empty_sequences to `drop`")
        digest = digest_of(seq_type, sequence)
        doubt = type_doubt(sequence, seq_type)
        short_peptide = seq_type == "prot" and len(sequence) < _SHORT
        if doubt and not short_peptide and self.policies.type_mismatch == "error":
            hint = "correct seq_type or seq_column in the table of datasets, or set input.type_mismatch to `accept`"
            return Outcome("problem", f"{quoted(sequence, _SHOWN_RESIDUES)} {doubt}; {hint}", digest=digest)
        unmet = self._unmet_requirement(raw, len(sequence)) if self._has_requirements else ""
        if unmet:
            return Outcome("problem", unmet, digest=digest)
        return Outcome("accepted", doubt, sequence, changed, digest)

    def _unmet_requirement(self, raw: RawRecord, length: int) -> str:
        """Return why a requested output or export cannot take a record, or an empty string."""
        longest = self.requirements.longest
        if longest is not None and length > longest:
            return (
                f"{length} residues, but contacts are computed up to {longest} (embedding.contacts_max_length, or "
                "embedding_fixed_len_a_time if that is less); raise the limit or leave the record out"
            )
        if not self.requirements.file_names:
            return ""
        name = file_name_of(raw.id, raw.description)
        hint = "rename it, or remove `lucaone` from `export`"
        size = len(f"vector_{name}.pt".encode())
        if size > _LONGEST_FILE_NAME:
            limit = f"{size} bytes long, but at most {_LONGEST_FILE_NAME} are possible"
            return f"its file name in the export `lucaone`, {quoted(name)}, would be {limit}; {hint}"
        line, identifier = self._first_of_name.setdefault(name, (raw.line, raw.id))
        # Repeated ids are found later.
        if identifier == raw.id:
            return ""
        return f"its file name in the export `lucaone` is {quoted(name)}, the same as for line {line}; {hint}"


def file_name_of(identifier: str, description: str) -> str:
    """Return the name of a record in LucaOneApp's files: its header line without blanks, with `_` for `/` and `|`."""
    title = f"{identifier} {description}".strip()
    return title.removeprefix(">").replace(" ", "").replace("/", "_").replace("|", "_").replace("\0", "")


def check_id(identifier: str) -> None:
    """Raise ValueError if an id is empty or has control characters."""
    if not identifier:
        raise ValueError("the record has no id; give it one")
    bad = _CONTROL.search(identifier)
    if bad:
        raise ValueError(f"the id {quoted(identifier)} has the control character {bad.group()!r}; remove it")
