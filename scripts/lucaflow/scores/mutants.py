"""Mutants in ProteinGym's notation: which letters of a sequence do they exchange?

`A23V` is the letter that is there, its number, and the new letter; `A23V:G45D` exchanges two. `WT` and `_wt` are the
sequence itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lucaflow.errors import InputError, quoted, shown
from lucaflow.scores.letters import OWN_LETTERS

_WILD_TYPES = ("WT", "_wt")
_SUBSTITUTION = re.compile(r"([A-Za-z])(-?[0-9]{1,9})([A-Za-z*])", re.ASCII)
_EXAMPLE = "Expected a letter, its number and the new letter, such as A23V; several joined by `:`"


@dataclass(frozen=True)
class Substitution:
    """One exchange of a letter. position: from 0 on; before, after: the letters."""

    position: int
    before: str
    after: str


@dataclass(frozen=True)
class Mutant:
    """A mutant of a sequence. name: as it was written; substitutions: none for the sequence itself."""

    name: str
    substitutions: tuple[Substitution, ...]

    @property
    def positions(self) -> tuple[int, ...]:
        return tuple(each.position for each in self.substitutions)

    def applied(self, residues: str) -> str:
        """Return the mutated sequence."""
        letters = list(residues)
        for each in self.substitutions:
            letters[each.position] = each.after
        return "".join(letters)


def parse_mutant(text: str, residues: str, seq_type: str, first_residue: int = 1, mutated: str | None = None) -> Mutant:
    """Return a mutant of a normalised sequence. Raises InputError whose message is the reason why it is none.

    first_residue: the number of the first residue; mutated: the whole mutated sequence, if the table has it, which must
    be the result.

    >>> parse_mutant("K2A:V3L", "MKVLAW", "prot").substitutions
    (Substitution(position=1, before='K', after='A'), Substitution(position=2, before='V', after='L'))
    >>> parse_mutant("A2K", "MKVLAW", "prot")
    Traceback (most recent call last):
    lucaflow.errors.InputError: residue 2 is K, not A
    """
    name = text.strip()
    if not name:
        raise InputError("the cell is empty")
    parts = [] if name in _WILD_TYPES else name.split(":")
    found = [_parse_substitution(part, residues, seq_type, first_residue) for part in parts]
    positions = [each.position for each in found]
    if twice := {position for position in positions if positions.count(position) > 1}:
        raise InputError(f"residue {min(twice) + first_residue} is changed twice")
    mutant = Mutant(name, tuple(found))
    if mutated:
        _refuse_other_result(mutant.applied(residues), mutated, seq_type)
    return mutant


def _parse_substitution(text: str, residues: str, seq_type: str, first: int) -> Substitution:
    match = _SUBSTITUTION.fullmatch(text)
    if match is None:
        raise InputError(_why_unreadable(text))
    before, number, after = match[1], int(match[2]), match[3]
    position = number - first
    if after == "*":
        raise InputError(f"{text}: a stop codon has no score")
    if not (before + after).isupper():
        raise InputError(f"{text}: letters are in upper case, as in {text.upper()}")
    if not 0 <= position < len(residues):
        raise InputError(f"{text}: the residues are numbered {first} to {first + len(residues) - 1}")
    if (there := residues[position]) != _letter(before, seq_type):
        raise InputError(f"residue {number} is {there}, not {before}")
    if _letter(after, seq_type) not in OWN_LETTERS[seq_type] and after != before:
        raise InputError(f"{text}: the new letter {after} is none of {OWN_LETTERS[seq_type]}")
    return Substitution(position, there, there if after == before else _letter(after, seq_type))


def _letter(letter: str, seq_type: str) -> str:
    """Return a letter as the normalised sequence has it: U of genes is T."""
    return "T" if seq_type == "gene" and letter == "U" else letter


def _why_unreadable(text: str) -> str:
    kind = "cannot be read"
    if re.search(r"del|ins|dup|fs", text) or re.fullmatch(r"[A-Z]-?\d+[A-Z]{2,}", text):
        kind = "is an insertion or a deletion, which these scores do not cover"
    return f"{quoted(shown(text), 40)} {kind}. {_EXAMPLE}"


def _refuse_other_result(expected: str, mutated: str, seq_type: str) -> None:
    found = mutated.strip().upper()
    found = found.replace("U", "T") if seq_type == "gene" else found
    if found == (expected.replace("U", "T") if seq_type == "gene" else expected):
        return
    if len(found) != len(expected):
        raise InputError(f"mutated_sequence has {len(found)} residues, but the mutant {len(expected)}")
    place = next(place for place, (one, other) in enumerate(zip(found, expected, strict=True)) if one != other)
    raise InputError(
        f"mutated_sequence has {found[place]} where the mutant has {expected[place]} (its residue {place + 1}): the "
        "numbers may be off, or the sequence another one"
    )
