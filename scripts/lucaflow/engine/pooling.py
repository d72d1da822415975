"""Turn hidden states into the stored results: vectors of whole sequences, and pieces of matrices.

Letters in shapes: T tokens of all windows of a batch, B windows or sequences, n tokens of a window, H hidden size,
`count` neighbouring windows with equal n and equal kept rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.engine.batches import PlannedWindow
from lucaflow.engine.windows import Window


@dataclass(frozen=True)
class Piece:
    """Consecutive rows (r, w) of a sequence's `matrix`, `contacts` or `spans`.

    output: one of these; sequence: index of the sequence among those given to the engine; total_rows: rows of
    the whole array; start_row: row of the array where this piece begins; rows: float32, or float16 if a GPU cast them;
    int32 of spans.
    """

    output: str
    sequence: int
    total_rows: int
    start_row: int
    rows: np.ndarray


@dataclass(frozen=True)
class EmbeddedBatch:
    """The results of a batch: pieces of arrays, and vectors of the sequences that are complete with it.

    sequences: (B,) indices of these sequences, increasing; residues_embedded, windows: (B,) their counts; vectors:
    (B, H) of each requested kind; halved_to: the tokens of a batch from here on, if memory was too small for more.
    Then pieces of arrays that are not complete are void, and come again.
    """

    sequences: np.ndarray
    residues_embedded: np.ndarray
    windows: np.ndarray
    vectors: dict[str, np.ndarray]
    pieces: list[Piece]
    halved_to: int | None = None


def pool(hidden: Tensor, planned: Sequence[PlannedWindow], vectors: Sequence[str]) -> dict[str, Tensor]:
    """Reduce the hidden states (T, H) of concatenated windows to (B, H) each: `sum` and `max` of kept rows, `cls`."""
    pooled: dict[str, list[Tensor]] = {"sum": [], **{name: [] for name in vectors if name in ("max", "cls")}}
    done = 0
    for (tokens, first, last), group in groupby(planned, key=_rows_kept):
        count = len(list(group))
        states = hidden[done : done + count * tokens].view(count, tokens, -1)  # (count, n, H)
        done += count * tokens
        pooled["sum"].append(states[:, first:last].sum(1))  # (count, H)
        if "max" in pooled:
            pooled["max"].append(states[:, first:last].amax(1))  # (count, H)
        if "cls" in pooled:
            pooled["cls"].append(states[:, 0])  # (count, H)
    return {name: torch.cat(values) for name, values in pooled.items()}  # (B, H) each


def _rows_kept(item: PlannedWindow) -> tuple[int, int, int]:
    """Return the number of rows of a window, and its first and last kept row (end exclusive)."""
    return item.tokens, *item.kept


def matrix_pieces(hidden: np.ndarray, planned: Sequence[PlannedWindow], special: bool) -> list[Piece]:
    """Return the kept rows of hidden states (T, H) as pieces of matrices, and the spans of byte pairs.

    special: whether matrices have the rows of [CLS] and [SEP] too.
    """
    pieces = []
    done = 0
    for item in planned:
        states = hidden[done : done + item.tokens]  # (n, H)
        done += item.tokens
        pieces += _pieces_of("matrix", item, states, special)
        if item.byte_pairs:
            pieces += _pieces_of("spans", item, spans_of_rows(item), special)
    return pieces


def spans_of_rows(item: PlannedWindow) -> np.ndarray:
    """Return the letters (n, 2) of the sequence that each row of a window of byte pairs covers, int32.

    [CLS] and [SEP] cover no letter: their first letter is their end, too.
    """
    assert item.byte_pairs
    ends = [[[edge, edge]] for edge in (item.window.start, item.window.stop)]
    return np.concatenate([ends[0], item.window.start + item.byte_pairs.spans, ends[1]]).astype(np.int32)


def _pieces_of(output: str, item: PlannedWindow, values: np.ndarray, special: bool) -> list[Piece]:
    """Return the kept ones of a window's rows (n, w) as pieces of an array."""
    first, last = item.kept
    rows = [(item.row + special, values[first:last])]  # (kept, w)
    if special and item.window.gives_cls:
        rows.append((0, values[:1]))  # (1, w)
    if special and item.window.gives_sep:
        rows.append((item.rows + 1, values[-1:]))  # (1, w)
    total = item.rows + Vocabulary.special_tokens * special
    return [Piece(output, item.sequence, total, start, part) for start, part in rows]


class Pooling:
    """Combines the windows of each sequence into its vectors, and stores those of the sequence that is not complete.

    vectors: the requested kinds; skip: (n,) bool, sequences without results.
    """

    def __init__(self, vectors: Sequence[str], skip: np.ndarray) -> None:
        self.vectors = vectors
        self.skip = skip
        self._current: dict[str, np.ndarray] = {}  # (H,) each: `sum`, `max` and `cls` of the windows so far
        self._windows = 0

    def add(
        self, planned: Sequence[PlannedWindow], pooled: dict[str, np.ndarray], pieces: list[Piece]
    ) -> EmbeddedBatch:
        """Add the pooled windows (B, H) of a batch; return its results, with the vectors of completed sequences."""
        sequences: list[int] = []
        windows: list[int] = []
        residues: list[int] = []
        vectors: dict[str, list[np.ndarray]] = {name: [] for name in self.vectors}
        for index, item in enumerate(planned):
            if self.skip[item.sequence]:
                continue
            self._add_window({name: values[index] for name, values in pooled.items()}, item.window)
            if item.last:
                sequences.append(item.sequence)
                windows.append(self._windows)
                residues.append(item.residues)
                self._current["mean"] = self._current["sum"] / np.float32(item.rows)  # (H,)
                for name in self.vectors:
                    vectors[name].append(self._current[name])
                self._current, self._windows = {}, 0
        return EmbeddedBatch(
            np.array(sequences, dtype=np.int64),
            np.array(residues, dtype=np.int64),
            np.array(windows, dtype=np.int64),
            # (B, H) each, also where B is 0
            {name: np.array(values).reshape(-1, pooled["sum"].shape[1]) for name, values in vectors.items()},
            [piece for piece in pieces if not self.skip[piece.sequence]],
        )

    def _add_window(self, values: dict[str, np.ndarray], window: Window) -> None:
        """Add the values (H,) of one window to those of its sequence."""
        if not self._current:
            self._current = {name: value for name, value in values.items() if name != "cls"}
        else:
            self._current["sum"] = self._current["sum"] + values["sum"]  # (H,)
            if "max" in values:
                self._current["max"] = np.maximum(self._current["max"], values["max"])  # (H,)
        if window.gives_cls and "cls" in values:
            self._current["cls"] = values["cls"]
        self._windows += 1
