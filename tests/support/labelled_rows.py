"""Labelled rows, as a table gives them."""

from __future__ import annotations

import numpy as np

from lucaflow.training.splits import LabelledRows


def rows_of(sequences, labels, given=None, regression=False) -> LabelledRows:
    """Return rows; sequences: (n,) of single sequences, or (n, 2) of pairs."""
    sides = [each if isinstance(each, tuple) else (each,) for each in sequences]
    distinct = list(dict.fromkeys(side for row in sides for side in row))
    place = {sequence: number for number, sequence in enumerate(distinct)}
    return LabelledRows(
        [f"row{number}" for number in range(len(sides))], distinct,
        np.array([[place[side] for side in row] for row in sides]),
        labels, None if regression else [frozenset({label}) for label in labels], given,
    )  # fmt: skip
