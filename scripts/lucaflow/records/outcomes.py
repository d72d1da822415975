"""What each input record becomes: normalised, a duplicate, dropped, or a problem that stops the dataset."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from lucaflow.records.readers import RawRecord

_BLANK = re.compile(r"[^\S\n]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NO_LETTER = re.compile(r"[^A-Z]")
_RESIDUES = {"gene": b"ABCDEFGHIJKLMNOPQRSTVWXYZ", "prot": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_SALT = {"gene": b"gene\n", "prot": b"prot\n"}
_UNKNOWN = {"gene": "N", "prot": "X"}
_NUCLEOTIDES = b"ATCGUN"
_NUCLEOTIDE_CODES = frozenset("ATCGUNRYSWKMBDHVX")
# Shares of A, C, G, T, U and N from which a sequence counts as a gene: any, and a short one of nucleotide codes alone.
_GENE_LIKE = 0.9
_GENE_LIKE_WITH_CODES = 0.5
# Shorter than this, a peptide may well consist of A, C, G, T, U and N, or of nucleotide codes, alone.
_SHORT = 20
# Of a header line in the files of sequences: ">", 64 hex characters, a blank, `gene` or `prot`, a line feed.
HEADER_BYTES = 71
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


class Outcome(NamedTuple):
    """What became of a record: `accepted`, `duplicate`, `dropped`, or a `problem` that refuses the dataset."""

    status: str
    reason: str = ""
    sequence: str = ""
    changed: int = 0
    digest: str = ""


def digest_of(seq_type: str, sequence: str) -> str:
    """Return the hex SHA-256 by which a normalised sequence is known."""
    return sha256(_SALT[seq_type] + sequence.encode()).hexdigest()


def identity_of(seq_type: str, identifier: str) -> tuple[str, str]:
    """Return what two records share that have the same id: ids are compared by type, in Unicode's form NFC."""
    return seq_type, identifier if identifier.isascii() else unicodedata.normalize("NFC", identifier)


def normalise(text: str, seq_type: str, invalid_characters: str) -> tuple[str, int]:
    """Return a sequence in normal form, and how many characters were altered or removed; line feeds do not count.

    Letters become upper case, blanks and stops at the end go, U becomes T in genes. A character that is no letter
    A to Z is refused (`error`), removed (`drop`, as LucaOne does it) or becomes X or N (`unknown`).
    Raises ValueError that says where the first refused character stands.
    """
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
    return sequence, _count_changes(text.replace("\n", ""), sequence, seq_type)


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
    nucleotides = (len(sequence) - len(sequence.encode().translate(None, _NUCLEOTIDES))) / len(sequence)
    if seq_type == "prot" and nucleotides >= _GENE_LIKE:
        return "looks like a nucleotide sequence, but the dataset's seq_type is prot"
    if seq_type == "gene" and nucleotides < _GENE_LIKE:
        codes_only = _NUCLEOTIDE_CODES.issuperset(sequence)
        if not codes_only or (nucleotides < _GENE_LIKE_WITH_CODES and len(sequence) < _SHORT):
            return "looks like a protein, but the dataset's seq_type is gene"
    return ""


class Normaliser:
    """Decides what becomes of each record by itself; what repeats an earlier one is found later."""

    def __init__(self, policies: Policies, demands: Demands = NO_DEMANDS) -> None:
        self.policies = policies
        self.demands = demands
        self._demanding = demands != NO_DEMANDS
        self._first_of_name: dict[str, tuple[int, str]] = {}

    def outcome(self, raw: RawRecord, seq_type: str) -> Outcome:
        """Return what becomes of a record. A bad one raises nothing, so that all can be shown at once."""
        return self._unremarkable(raw, seq_type) or self._looked_into(raw, seq_type)

    def _unremarkable(self, raw: RawRecord, seq_type: str) -> Outcome | None:
        """Return the outcome of a record that there is nothing to say of, which most are: the same, but faster."""
        if raw.fault or self._demanding or not raw.id or not raw.id.isprintable():
            return None
        residues = raw.text.encode(errors="replace").translate(None, b"\n")
        if not residues or residues.translate(None, _RESIDUES[seq_type]):
            return None
        # Most proteins show in a quarter of them that they are no genes.
        others = len(residues[: len(residues) // 4].translate(None, _NUCLEOTIDES))
        surely_protein = others > (1 - _GENE_LIKE) * len(residues) + 1
        if seq_type == "gene" or not (surely_protein or residues.startswith(b"M")):
            share = (len(residues) - len(residues.translate(None, _NUCLEOTIDES))) / len(residues)
            if (share >= _GENE_LIKE) != (seq_type == "gene"):
                return None
        return Outcome("accepted", "", residues.decode(), 0, sha256(_SALT[seq_type] + residues).hexdigest())

    def _looked_into(self, raw: RawRecord, seq_type: str) -> Outcome:
        """Return what becomes of any record; of a problem with its digest, where the sequence itself is sound."""
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
            return Outcome("problem", f"{sequence[:20]!r}... {doubt}; {hint}", digest=digest)
        unmet = self._unmet(raw, len(sequence)) if self._demanding else ""
        if unmet:
            return Outcome("problem", unmet, digest=digest)
        return Outcome("accepted", doubt, sequence, changed, digest)

    def _unmet(self, raw: RawRecord, length: int) -> str:
        """Say why an output or an export cannot take a record; an empty text if they can."""
        longest = self.demands.longest
        if longest is not None and length > longest:
            return (
                f"{length} residues, but contacts are computed up to {longest} (embedding.contacts_max_length, or "
                "embedding_fixed_len_a_time if that is less); raise the limit or leave the record out"
            )
        if not self.demands.file_names:
            return ""
        name = file_name_of(raw.id, raw.description)
        hint = "rename one, or take `lucaone` out of `export`"
        size = len(f"vector_{name}.pt".encode())
        if size > _LONGEST_FILE_NAME:
            limit = f"{size} bytes, of at most {_LONGEST_FILE_NAME}"
            return f"the export `lucaone` would call its file {name[:40]!r}..., {limit}; {hint}"
        line, identifier = self._first_of_name.setdefault(name, (raw.line, raw.id))
        # What repeats an id is found later, whatever its file would be called.
        if identifier == raw.id:
            return ""
        return f"the export `lucaone` calls its file {name!r}, like that of line {line}; {hint}"


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
