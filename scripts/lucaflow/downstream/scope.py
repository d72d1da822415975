"""What a downstream model was trained on, and for which sequences it is therefore meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

UNITS = {"gene": "nucleotides", "prot": "residues"}
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Scope:
    """What a model was trained on.

    sequences, organisms: in words; lengths: the longest sequence of each side, empty if not stated; classes: what the
    labels mean, by label, where they are no names.
    """

    sequences: str = NOT_STATED
    organisms: str = NOT_STATED
    lengths: tuple[int, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)

    def sentence(self, task: str, seq_types: Sequence[str]) -> str:
        """Return what the model of a task was trained on, as one line. seq_types: of its sides.

        >>> Scope("proteins", "yeast", (800,)).sentence("T", ("prot",))
        'T was trained on proteins (organisms: yeast; at most 800 residues). Answers for others may be wrong.'
        """
        if self == Scope():
            return f"The training data of {task} are not stated."
        longest = " and ".join(
            f"{length:,} {UNITS[kind]}" for length, kind in zip(self.lengths, seq_types, strict=False)
        )
        return (
            f"{task} was trained on {self.sequences} (organisms: {self.organisms}; "
            f"{f'at most {longest}' if longest else 'lengths: not stated'}). Answers for others may be wrong."
        )

    def warnings(self, task: str, seq_types: Sequence[str], lengths: np.ndarray) -> list[str]:
        """Return a sentence for each side with sequences that are longer than those of training.

        lengths: (R, S) of the sequences that are predicted, for the S sides of the task.
        """
        found = []
        for longest, seq_type, of_side in zip(self.lengths, seq_types, lengths.T, strict=False):
            longer = int((of_side > longest).sum())
            if longer:
                are = "is" if longer == 1 else "are"
                found.append(
                    f"{longer:,} of {len(of_side):,} sequences ({seq_type}) {are} longer than the {longest:,} "
                    f"{UNITS[seq_type]} that {task} was trained on"
                )
        return found


def scope_of(row: Mapping[str, str]) -> Scope:
    """Return the scope in a row of resources/tasks.tsv, which is valid by its schema."""
    lengths = tuple(int(length) for length in row["lengths"].split(",") if length)
    pairs = (pair.partition("=") for pair in row["classes"].split(",") if pair)
    return Scope(row["scope"], row["organisms"], lengths, {label: meaning for label, _, meaning in pairs})
