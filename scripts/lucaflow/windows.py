"""Which residues of a sequence go through the network together, and which rows of each window are kept.

Pure functions of a length and the options. A window is computed with its own [CLS] and [SEP] and positions from 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Residues `start` to `stop` (end exclusive) of a sequence, of which `kept_start` to `kept_stop` are kept."""

    start: int
    stop: int
    kept_start: int
    kept_stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    @property
    def kept(self) -> int:
        return self.kept_stop - self.kept_start


def embedded_range(
    length: int, *, embedding_complete: bool, truncation_seq_length: int, trunc_type: str
) -> tuple[int, int]:
    """Return the residues (start, stop) that are embedded: all of them, or what truncation leaves.

    `trunc_type` names the side that is cut off: `right` keeps the head of the sequence, `left` its tail.
    """
    if embedding_complete or length <= truncation_seq_length:
        return 0, length
    if trunc_type == "right":
        return 0, truncation_seq_length
    return length - truncation_seq_length, length


def one_pass(start: int, stop: int) -> Window:
    """Return the single window that covers residues `start` to `stop`."""
    return Window(start, stop, start, stop)
