"""Divide a sequence into windows that go through the network, and choose which rows of each window are kept.

The windows depend only on the sequence's length and the options. Each window is computed with its own [CLS] and [SEP],
and its positions start at 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# LucaOne shortens windows by this factor until a sequence needs more than two of them.
_SHRINK = 0.95


@dataclass(frozen=True)
class Window:
    """Residues `start` to `stop` of a sequence; the rows of residues `kept_start` to `kept_stop` are kept.

    Ends are exclusive. gives_cls, gives_sep: whether the sequence's row of [CLS] or [SEP] comes from this window.
    """

    start: int
    stop: int
    kept_start: int
    kept_stop: int
    gives_cls: bool = False
    gives_sep: bool = False

    @property
    def length(self) -> int:
        return self.stop - self.start

    @property
    def kept(self) -> int:
        return self.kept_stop - self.kept_start


@dataclass(frozen=True)
class Windowing:
    """The options of shortening or dividing sequences, named as in the configuration."""

    embedding_complete: bool = True
    truncation_seq_length: int = 4094
    trunc_type: str = "right"
    embedding_fixed_len_a_time: int | None = None
    embedding_complete_seg_overlap: bool = True
    stitching: str = "lucaone"

    def __post_init__(self) -> None:
        overlaps = self.stitching == "lucaone" and self.embedding_complete_seg_overlap
        shortest = 3 if self.stitching == "centered" else 2 if overlaps else 1
        length = self.embedding_fixed_len_a_time
        if self.embedding_complete and length is not None and length < shortest:
            raise ValueError(f"embedding_fixed_len_a_time is {length}, expected at least {shortest} for this stitching")

    def windows(self, length: int) -> list[Window]:
        """Return the windows of a sequence of `length` residues, in the order of their kept residues.

        >>> windows = Windowing(embedding_fixed_len_a_time=100, stitching="centered").windows(150)
        >>> [(window.start, window.stop, window.kept) for window in windows]
        [(0, 100, 75), (50, 150, 75)]
        """
        size = self.embedding_fixed_len_a_time
        if not self.embedding_complete:
            return [truncated(length, size or self.truncation_seq_length, self.trunc_type)]
        if size is None or length <= size:
            return [truncated(length, length, self.trunc_type)]
        if self.stitching == "centered":
            return centered(length, size)
        if self.stitching == "separate":
            return separate(length, size)
        windows = overlapping(length, size) if self.embedding_complete_seg_overlap else side_by_side(length, size)
        return windows if self.trunc_type == "right" else mirrored(windows, length)

    def counts(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the embedded residues (U,) and the windows (U,) of sequences with lengths (U,)."""
        import numpy as np  # jobs that only read options need no arrays

        distinct, inverse = np.unique(lengths, return_inverse=True)
        plans = [self.windows(length) for length in distinct.tolist()]
        residues = np.array([sum(window.kept for window in windows) for windows in plans], dtype=np.int64)
        return residues[inverse], np.array([len(windows) for windows in plans], dtype=np.int64)[inverse]


def truncated(length: int, size: int, trunc_type: str) -> Window:
    """Return one window of at most `size` residues: the start of the sequence for `right`, its end for `left`."""
    start, stop = (0, min(size, length)) if trunc_type == "right" else (max(0, length - size), length)
    return Window(start, stop, start, stop, gives_cls=True, gives_sep=True)


def overlapping(length: int, size: int) -> list[Window]:
    """Return LucaOne's overlapping windows, from the first residue on. Each window after the first keeps its end.

    That is its second half, or less in the last window. If `size` is odd, the windows after the first are one residue
    shorter. [CLS] and [SEP] come from the first window.
    """
    half = size // 2
    windows = [Window(0, size, 0, size, gives_cls=True, gives_sep=True)]
    end = size
    while end < length - half:
        windows.append(Window(end - half, end + half, end, end + half))
        end += half
    return [*windows, Window(length - 2 * half, length, end, length)]


def side_by_side(length: int, size: int) -> list[Window]:
    """Return LucaOne's windows without overlap, from the first residue on. The last window ends at the last residue.

    Where two windows would be enough, LucaOne uses three or more shorter ones; so does this function.
    """
    short = size
    while -(-length // short) == 2 and int(_SHRINK * short) > 0:
        short = int(_SHRINK * short)
    count = -(-length // short)
    first = Window(0, size, 0, size, gives_cls=True, gives_sep=True)
    middle = [Window(i * short, (i + 1) * short, max(size, i * short), (i + 1) * short) for i in range(1, count - 1)]
    last = Window(length - short, length, max(size, (count - 1) * short), length)
    return [first, *(window for window in [*middle, last] if window.kept > 0)]


def separate(length: int, size: int) -> list[Window]:
    """Return as few windows as possible, which differ in length by one residue at most and do not overlap.

    The first one gives [CLS], the last one [SEP].
    """
    count = -(-length // size)
    cuts = [i * length // count for i in range(count + 1)]
    windows = [Window(start, stop, start, stop) for start, stop in pairwise(cuts)]
    windows[0] = replace(windows[0], gives_cls=True)
    windows[-1] = replace(windows[-1], gives_sep=True)
    return windows


def mirrored(windows: list[Window], length: int) -> list[Window]:
    """Return the windows mirrored, so that they start from the end of a sequence of `length` residues."""
    return [
        replace(
            window,
            start=length - window.stop,
            stop=length - window.start,
            kept_start=length - window.kept_stop,
            kept_stop=length - window.kept_start,
        )
        for window in reversed(windows)
    ]


def centered(length: int, size: int) -> list[Window]:
    """Return evenly spread windows; each residue's row comes from the window with the most context around it.

    Every kept row has at least size / 4 residues of context on both sides, except near the ends of the sequence. The
    first window starts at the first residue and gives [CLS]; the last ends at the last residue and gives [SEP].
    """
    context = -(-size // 4)
    gaps = -(-(length - size) // (size - 2 * context))
    starts = [i * (length - size) // gaps for i in range(gaps + 1)]
    cuts = [(left + right + size - 1) // 2 + 1 for left, right in pairwise(starts)]
    kept = zip([0, *cuts], [*cuts, length], strict=True)
    windows = [Window(start, start + size, *rows) for start, rows in zip(starts, kept, strict=True)]
    windows[0] = replace(windows[0], gives_cls=True)
    windows[-1] = replace(windows[-1], gives_sep=True)
    return windows
