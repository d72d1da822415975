"""What does a mutant such as `A23V:G45D` change in a sequence, and why can one not be scored?"""

from __future__ import annotations

import re
from typing import NamedTuple

from lucaflow.errors import VariantError, quoted

# The letters that a substitution may bring, by type of sequence. A normalised gene has T for U.
NEW_LETTERS = {"prot": "ACDEFGHIKLMNPQRSTVWY", "gene": "ACGT"}
_KINDS = {"prot": "one of the 20 amino acids", "gene": "A, C, G, T or U"}
# Names of the sequence without a change.
_WILD_TYPES = frozenset(("wt", "_wt", "wildtype", "wild-type", "wild_type"))
_CHANGE = re.compile(r"([A-Z])([+-]?[0-9]{1,9})([A-Z])")
# What is written in place of a substitution, and what is wrong with it; the first that fits is said.
_MARGINALS = "a score compares two letters at a residue that both sequences have"
_OTHERS = (
    (re.compile(r"[A-Z][a-z]{2}[0-9]|[pcgnmr]\."), "write a change as A23V, in letters and without a prefix"),
    (re.compile(r".*[;,/ ]"), "join several changes by `:`, as in A23V:G45D"),
    (re.compile(r"[A-Z]?[+-]?[0-9]+(\*|Ter|TER|stop)$", re.IGNORECASE), f"a stop codon; {_MARGINALS}"),
    (re.compile(r".*(del|ins|dup|fs|_)", re.IGNORECASE), f"a deletion or insertion; {_MARGINALS}"),
    (re.compile(r"[A-Z][+-]?[0-9]+[A-Z]{2,}$"), f"an insertion; {_MARGINALS}"),
    (re.compile(r"[A-Z][+-]?[0-9]+-$"), f"a deletion; {_MARGINALS}"),
    (re.compile(r"[A-Za-z][+-]?[0-9]+[A-Za-z]$"), "write letters as capitals"),
)  # fmt: skip


class Substitution(NamedTuple):
    """Another letter at one residue. position: counted from 0."""

    position: int
    before: str
    after: str


def substitutions_of(mutant: str, sequence: str, seq_type: str, first_residue: int = 1) -> tuple[Substitution, ...]:
    """Return the substitutions of a mutant, in the order of their positions; none for the wild type.

    mutant: such as `A23V`, several joined by `:`, or `WT`; sequence: normalised, so that U is T in a gene;
    first_residue: the number of its first residue. Raises VariantError that says why the mutant cannot be scored.

    >>> substitutions_of("T3P:K2A", "MKTAY", "prot")
    (Substitution(position=1, before='K', after='A'), Substitution(position=2, before='T', after='P'))
    >>> substitutions_of("WT", "MKTAY", "prot")
    ()
    >>> substitutions_of("K26A", "MKTAY", "prot", first_residue=25)
    (Substitution(position=1, before='K', after='A'),)
    """
    text = mutant.strip()
    if not text:
        raise VariantError("the cell `mutant` is empty")
    if text.lower() in _WILD_TYPES:
        return ()
    found: dict[int, Substitution] = {}
    for part in text.split(":"):
        change = _checked(_parsed(part, text), sequence, seq_type, first_residue)
        if change.position in found:
            raise VariantError(f"two changes at residue {change.position + first_residue}")
        found[change.position] = change
    return tuple(found[position] for position in sorted(found))


def mutated(sequence: str, substitutions: tuple[Substitution, ...]) -> str:
    """Return a sequence with its substitutions.

    >>> mutated("MKTAY", (Substitution(1, "K", "A"),))
    'MATAY'
    """
    letters = list(sequence)
    for change in substitutions:
        letters[change.position] = change.after
    return "".join(letters)


def require_sequence(stated: str, expected: str, seq_type: str, first_residue: int = 1) -> None:
    """Raise VariantError if a stated mutated sequence is another one than the mutant says.

    A numbering that is wrong may fit the letters by chance; this finds it out.
    """
    found = stated.strip().upper().rstrip("*")
    if seq_type == "gene":
        found = found.replace("U", "T")
    if not found or found == expected:
        return
    if len(found) != len(expected):
        raise VariantError(
            f"`mutated_sequence` has {len(found):,} residues, and the dataset's sequence {len(expected):,}"
        )
    place = next(index for index, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])
    raise VariantError(
        f"`mutated_sequence` has {quoted(found[place])} at residue {place + first_residue}, where the mutant and the "
        f"dataset's sequence have {expected[place]}; is scores.first_residue right?"
    )


def _parsed(part: str, mutant: str) -> tuple[str, int, str]:
    """Return old letter, number and new letter of one change as it is written."""
    if found := _CHANGE.fullmatch(part.strip()):
        return found[1], int(found[2]), found[3]
    if not part.strip():
        raise VariantError(f"{quoted(mutant)} has an empty change between or after `:`")
    why = next((words for pattern, words in _OTHERS if pattern.match(part)), None)
    expected = "expected the old letter, the number of the residue and the new letter, as in A23V"
    raise VariantError(f"{quoted(part)}: {why or expected}")


def _checked(change: tuple[str, int, str], sequence: str, seq_type: str, first_residue: int) -> Substitution:
    before, number, after = change
    if seq_type == "gene":
        before, after = before.replace("U", "T"), after.replace("U", "T")
    position = number - first_residue
    if not 0 <= position < len(sequence):
        last = first_residue + len(sequence) - 1
        raise VariantError(
            f"there is no residue {number}: the sequence has residues {first_residue} to {last} "
            f"(scores.first_residue is {first_residue})"
        )
    if sequence[position] != before:
        raise VariantError(f"residue {number} is {sequence[position]}, not {before}")
    if after not in NEW_LETTERS[seq_type] and after != before:
        raise VariantError(f"the new letter {after} is not {_KINDS[seq_type]}")
    return Substitution(position, before, after)
