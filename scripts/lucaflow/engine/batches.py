"""Divide the windows of sequences into batches that go through the network together.

The batches depend only on the sequences and the token budget, so the same shard always gets the same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from lucaflow.encoders.byte_pairs import BytePairs
from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.engine.windows import Window
from lucaflow.records.sequences import NormalisedSequence


class BytePairTokens(NamedTuple):
    """The byte-pair tokens of a window: their ids (k + 2,), and which letters (k, 2) of the window they cover."""

    ids: np.ndarray
    spans: np.ndarray


@dataclass(frozen=True)
class PlannedWindow:
    """A window of a sequence, with its position in the sequence's matrix.

    sequence: index of the sequence; row: matrix row of the window's first kept residue; residues: of the sequence that
    are embedded; rows: of the whole matrix, without those of [CLS] and [SEP]; last: whether this is the sequence's last
    window; byte_pairs: its tokens, None if each residue is a token.
    """

    sequence: int
    window: Window
    row: int
    residues: int
    rows: int
    last: bool
    byte_pairs: BytePairTokens | None = None

    @property
    def tokens(self) -> int:
        return len(self.byte_pairs.ids) if self.byte_pairs else self.window.length + Vocabulary.special_tokens

    @property
    def kept(self) -> tuple[int, int]:
        """The first kept row among the window's tokens, and the end of these rows; [CLS] is row 0.

        Windows of byte pairs do not overlap, so that all rows are kept.
        """
        if self.byte_pairs:
            return 1, self.tokens - 1
        return 1 + self.window.kept_start - self.window.start, 1 + self.window.kept_stop - self.window.start


def plan_windows(sequence: int, windows: Sequence[Window]) -> list[PlannedWindow]:
    """Return the windows of sequence number `sequence` with their positions in its matrix."""
    first, end = windows[0].kept_start, windows[-1].kept_stop
    return [
        PlannedWindow(sequence, window, window.kept_start - first, end - first, end - first, window is windows[-1])
        for window in windows
    ]


def plan_byte_pairs(
    sequences: Sequence[NormalisedSequence], windows: Sequence[Sequence[Window]], vocabulary: BytePairs
) -> list[PlannedWindow]:
    """Return the windows of all sequences, each divided into tokens by itself."""
    texts = [
        sequence.residues[window.start : window.stop]
        for sequence, parts in zip(sequences, windows, strict=True)
        for window in parts
    ]
    found = iter(vocabulary.encode_all(texts))
    planned = []
    for index, parts in enumerate(windows):
        tokens = [BytePairTokens(*next(found)) for _ in parts]
        ends = list(accumulate(len(part.spans) for part in tokens))
        residues = sum(window.length for window in parts)
        planned += [
            PlannedWindow(index, window, end - len(part.spans), residues, ends[-1], window is parts[-1], part)
            for window, part, end in zip(parts, tokens, ends, strict=True)
        ]
    return planned


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
    vocabulary: Vocabulary | BytePairs, sequences: Sequence[NormalisedSequence], planned: Sequence[PlannedWindow]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the token ids and token types of concatenated windows, each (T,) int64."""
    ids, types = [], []
    for item in planned:
        sequence = sequences[item.sequence]
        if item.byte_pairs:
            ids.append(item.byte_pairs.ids)
        else:
            ids.append(vocabulary.encode(sequence.residues[item.window.start : item.window.stop], sequence.seq_type))
        types.append(vocabulary.token_types[sequence.seq_type])
    return np.concatenate(ids), np.repeat(types, [item.tokens for item in planned])
