"""Which windows of which sequences go through the network together.

Pure functions of the sequences and the token budget: the same shard is divided in the same way every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lucaflow.encoders.vocabulary import CLS_AND_SEP, TOKEN_TYPE, encode
from lucaflow.engine.windows import Window
from lucaflow.records.sequences import NormalisedSequence


@dataclass(frozen=True)
class Planned:
    """A window of a sequence: `row` is the matrix row of its first kept residue, `residues` counts all of them."""

    sequence: int
    window: Window
    row: int
    residues: int
    last: bool

    @property
    def tokens(self) -> int:
        return self.window.length + CLS_AND_SEP


def plan_windows(sequence: int, windows: Sequence[Window]) -> list[Planned]:
    """Return a sequence's windows with their places in its matrix."""
    first, end = windows[0].kept_start, windows[-1].kept_stop
    return [
        Planned(sequence, window, window.kept_start - first, end - first, window is windows[-1]) for window in windows
    ]


def plan_batches(tokens: Sequence[int], budget: int) -> list[tuple[int, int]]:
    """Divide consecutive windows into batches (start, stop) of at most `budget` tokens.

    A window longer than the budget is a batch of its own.
    """
    batches: list[tuple[int, int]] = []
    start = total = 0
    for index, count in enumerate(tokens):
        if index > start and total + count > budget:
            batches.append((start, index))
            start, total = index, 0
        total += count
    return [*batches, (start, len(tokens))] if tokens else batches


def tokenise(sequences: Sequence[NormalisedSequence], planned: Sequence[Planned]) -> tuple[np.ndarray, np.ndarray]:
    """Return token ids and token types, each (T,) int64, of windows one after another."""
    ids, types = [], []
    for item in planned:
        sequence = sequences[item.sequence]
        ids.append(encode(sequence.residues[item.window.start : item.window.stop], sequence.seq_type))
        types.append(TOKEN_TYPE[sequence.seq_type])
    return np.concatenate(ids), np.repeat(types, [item.tokens for item in planned])
