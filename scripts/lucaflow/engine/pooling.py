"""From hidden states to what is stored: vectors of whole sequences, and pieces of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from lucaflow.encoders.vocabulary import CLS_AND_SEP
from lucaflow.engine.batches import Planned
from lucaflow.engine.windows import Window


@dataclass(frozen=True)
class Piece:
    """Rows (r, w) of a sequence's `matrix` or `contacts`, from `start_row` of `total_rows` on.

    `sequence` counts from the first one given.
    """

    output: str
    sequence: int
    total_rows: int
    start_row: int
    rows: np.ndarray


@dataclass(frozen=True)
class EmbeddedBatch:
    """What a batch brought: pieces of arrays, and the `sequences` (B,) that it completed, in increasing order.

    residues_embedded, windows: (B,) of these sequences; vectors: (B, H) of each kind that was asked for.
    """

    sequences: np.ndarray
    residues_embedded: np.ndarray
    windows: np.ndarray
    vectors: dict[str, np.ndarray]
    pieces: list[Piece]


def pool(hidden: Tensor, planned: Sequence[Planned], vectors: Sequence[str]) -> dict[str, Tensor]:
    """Reduce hidden states (T, H) of windows one after another to (B, H) each: `sum` and `max` of kept rows, `cls`."""
    pooled: dict[str, list[Tensor]] = {"sum": [], **{name: [] for name in vectors if name in ("max", "cls")}}
    done = 0
    for (tokens, first, last), group in groupby(planned, key=_rows_kept):
        count = len(list(group))
        states = hidden[done : done + count * tokens].view(count, tokens, -1)
        done += count * tokens
        pooled["sum"].append(states[:, first:last].sum(1))
        if "max" in pooled:
            pooled["max"].append(states[:, first:last].amax(1))
        if "cls" in pooled:
            pooled["cls"].append(states[:, 0])
    return {name: torch.cat(values) for name, values in pooled.items()}


def _rows_kept(item: Planned) -> tuple[int, int, int]:
    """Return how many rows a window has, [CLS] first, and which of them are kept (end exclusive)."""
    window = item.window
    return item.tokens, 1 + window.kept_start - window.start, 1 + window.kept_stop - window.start


def matrix_pieces(hidden: np.ndarray, planned: Sequence[Planned], special: bool) -> list[Piece]:
    """Return the rows of matrices, of hidden states (T, H), that are kept; with `special` those of [CLS] and [SEP]."""
    pieces = []
    done = 0
    for item in planned:
        states = hidden[done : done + item.tokens]
        done += item.tokens
        _, first, last = _rows_kept(item)
        rows = [(item.row + special, states[first:last])]
        if special and item.window.gives_cls:
            rows.append((0, states[:1]))
        if special and item.window.gives_sep:
            rows.append((item.residues + 1, states[-1:]))
        total = item.residues + CLS_AND_SEP * special
        pieces += [Piece("matrix", item.sequence, total, start, part) for start, part in rows]
    return pieces


class Pooling:
    """Puts the windows of sequences together, one after another; holds the sequence that is not complete yet.

    Sequences that are `known` (n,) already are passed over.
    """

    def __init__(self, vectors: Sequence[str], known: np.ndarray) -> None:
        self.vectors = vectors
        self.known = known
        self._open: dict[str, np.ndarray] = {}
        self._windows = 0

    def add(self, planned: Sequence[Planned], pooled: dict[str, np.ndarray], pieces: list[Piece]) -> EmbeddedBatch:
        """Take the pooled windows (B, H) of a batch; return it with the vectors of the sequences it completed."""
        sequences: list[int] = []
        windows: list[int] = []
        residues: list[int] = []
        vectors: dict[str, list[np.ndarray]] = {name: [] for name in self.vectors}
        for index, item in enumerate(planned):
            if self.known[item.sequence]:
                continue
            self._take({name: values[index] for name, values in pooled.items()}, item.window)
            if item.last:
                sequences.append(item.sequence)
                windows.append(self._windows)
                residues.append(item.residues)
                self._open["mean"] = self._open["sum"] / np.float32(item.residues)
                for name in self.vectors:
                    vectors[name].append(self._open[name])
                self._open, self._windows = {}, 0
        return EmbeddedBatch(
            np.array(sequences, dtype=np.int64),
            np.array(residues, dtype=np.int64),
            np.array(windows, dtype=np.int64),
            {name: np.array(values).reshape(-1, pooled["sum"].shape[1]) for name, values in vectors.items()},
            [piece for piece in pieces if not self.known[piece.sequence]],
        )

    def _take(self, values: dict[str, np.ndarray], window: Window) -> None:
        if not self._open:
            self._open = {name: value for name, value in values.items() if name != "cls"}
        else:
            self._open["sum"] = self._open["sum"] + values["sum"]
            if "max" in values:
                self._open["max"] = np.maximum(self._open["max"], values["max"])
        if window.gives_cls and "cls" in values:
            self._open["cls"] = values["cls"]
        self._windows += 1
