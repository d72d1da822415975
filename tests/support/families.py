"""Families of sequences that resemble each other, made by exchanging letters of a random ancestor."""

from __future__ import annotations

import random

from lucaflow.records.outcomes import digest_of
from lucaflow.records.sequences import NormalisedSequence

LETTERS = {"prot": "ACDEFGHIKLMNPQRSTVWY", "gene": "ACGT"}


def sequence(residues: str, seq_type: str = "prot") -> NormalisedSequence:
    return NormalisedSequence(digest_of(seq_type, residues), seq_type, residues)


def relative(ancestor: str, identity: float, seed: int, seq_type: str = "prot") -> str:
    """Return a sequence of which this share of positions is the ancestor's."""
    generator = random.Random(seed)
    changed = set(generator.sample(range(len(ancestor)), round(len(ancestor) * (1 - identity))))
    others = {letter: LETTERS[seq_type].replace(letter, "") for letter in LETTERS[seq_type]}
    return "".join(
        generator.choice(others[letter]) if place in changed else letter for place, letter in enumerate(ancestor)
    )


def unrelated(count: int, length: int = 120, seed: int = 0, seq_type: str = "prot") -> list[str]:
    generator = random.Random(seed)
    return ["".join(generator.choices(LETTERS[seq_type], k=length)) for _ in range(count)]


def family(
    ancestor: str, count: int, identity: float = 0.7, seed: int = 0, seq_type: str = "prot"
) -> list[NormalisedSequence]:
    """Return relatives of an ancestor."""
    return [sequence(relative(ancestor, identity, seed + each, seq_type), seq_type) for each in range(count)]
