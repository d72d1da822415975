"""Divide the windows of sequences into batches that go through the network together.

The batches depend only on the sequences and the token budget, so the same shard always gets the same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.engine.windows import Window
from lucaflow.records.sequences import NormalisedSequence


@dataclass(frozen=True)
class PlannedWindow:
    """A window of a sequence, with its position in the sequence's matrix.

    sequence: index of the sequence; row: matrix row of the window's first kept residue; residues: rows of the whole
    matrix, without those of [CLS] and [SEP]; last: whether this is the sequence's last window.
    """

    sequence: int
    window: Window
    row: int
    residues: int
    last: bool

    @property
    def tokens(self) -> int:
        return self.window.length + Vocabulary.special_tokens


def plan_windows(sequence: int, windows: Sequence[Window]) -> list[PlannedWindow]:
    """Return the windows of sequence number `sequence` with their positions in its matrix."""
    first, end = windows[0].kept_start, windows[-1].kept_stop
    return [
        PlannedWindow(sequence, window, window.kept_start - first, end - first, window is windows[-1])
        for window in windows
    ]


def plan_batches(tokens: Sequence[int], budget: int) -> list[tuple[int, int]]:
    """Divide consecutive windows of `tokens` tokens into batches (start, stop) of at most `budget` tokens.

    A window longer than the budget gets a batch of its own.
    """
    batches: list[tuple[int, int]] = []
    start = total = 0
    for index, count in enumerate(tokens):
        if index > start and total + count > budget:
            batches.append((start, index))
            start, total = index, 0
        total += count
    return [*batches, (start, len(tokens))] if tokens else batches


def tokenise(
    vocabulary: Vocabulary, sequences: Sequence[NormalisedSequence], planned: Sequence[PlannedWindow]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the token ids and token types of concatenated windows, each (T,) int64."""
    ids, types = [], []
    for item in planned:
        sequence = sequences[item.sequence]
        ids.append(vocabulary.encode(sequence.residues[item.window.start : item.window.stop], sequence.seq_type))
        types.append(vocabulary.token_types[sequence.seq_type])
    return np.concatenate(ids), np.repeat(types, [item.tokens for item in planned])
