"""How much of dev and test resembles train?

A row has a neighbour at an identity if an alignment with a sequence of train has it, over the share of both sequences
that `coverage` says. Rows that resemble train in a part of the sequence only are counted apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lucaflow.training.clusters import by_type
from lucaflow.training.mmseqs import Mmseqs
from lucaflow.training.splits import LabelledRows, Split

IDENTITIES = {"prot": (0.3, 0.5, 0.7, 0.9), "gene": (0.8, 0.9, 0.95, 0.99)}
PARTIAL = "any part"
LEAKAGE_COLUMNS = ["split", "side", "identity", "rows", "with_neighbour", "share"]


@dataclass(frozen=True)
class Neighbours:
    """The closest sequence of train of each sequence that is not of train.

    identity: (U,) of the closest over both sequences, 0 without one; partial: (U,) bool, whether any part resembles
    one; best: (U,) position of the sequence of train with the highest score, whatever is aligned, -1 without one; 1.0
    and itself for a sequence that is in train.
    """

    identity: np.ndarray
    partial: np.ndarray
    best: np.ndarray


def find_neighbours(
    rows: LabelledRows, split: Split, mmseqs: Mmseqs, results: Path, coverage: float = 0.8
) -> Neighbours:
    """Search the sequences of all evaluated rows in those of train. results: leakage.tsv, beside which it is done."""
    size = len(rows.sequences)
    identity, partial, best = np.zeros(size), np.zeros(size, dtype=bool), np.full(size, -1)
    train = np.unique(rows.sides[split.rows("train")])
    others = np.setdiff1d(rows.sides[~np.isin(split.parts, ("train", "left_out"))], train)
    identity[train], partial[train], best[train] = 1.0, True, train
    for _, asked, searched in by_type(rows.sequences, others, train):
        hits = mmseqs.search(
            [rows.sequences[each] for each in asked.tolist()], [rows.sequences[each] for each in searched.tolist()],
            results,
        )  # fmt: skip
        whole = hits.where(hits.cover >= coverage)
        np.maximum.at(identity, asked[whole.query], whole.identity)
        # Hits are in the order of the queries, the best of each first.
        queries, firsts = np.unique(hits.query, return_index=True)
        partial[asked[queries]] = True
        best[asked[queries]] = searched[hits.target[firsts]]
    return Neighbours(identity, partial, best)


def with_neighbour(rows: LabelledRows, neighbours: Neighbours, identity: float) -> np.ndarray:
    """Return which rows (n,) have a sequence that has a neighbour in train at this identity; of pairs on any side."""
    return np.asarray((neighbours.identity[rows.sides] >= identity).any(axis=1))


def leakage_table(rows: LabelledRows, split: Split, neighbours: Neighbours) -> pd.DataFrame:
    """Return leakage.tsv: for each part but train, each side and each identity how many rows have a neighbour in train.

    side: empty, or `a` and `b` of pairs; identity: a number, or `any part` for a resemblance however short.
    """
    found = []
    names = [""] if rows.sides.shape[1] == 1 else ["a", "b"]
    for part in dict.fromkeys(("dev", "test", *sorted({*split.parts} - {"train", "left_out"}))):
        chosen = rows.sides[split.rows(part)]
        for side, sequences in zip(names, chosen.T, strict=True):
            for identity in _identities(rows, sequences):
                known = neighbours.identity[sequences] >= identity
                found.append((part, side, f"{identity:g}", *_share(known)))
            found.append((part, side, PARTIAL, *_share(neighbours.partial[sequences])))
    return pd.DataFrame(found, columns=LEAKAGE_COLUMNS)


def _identities(rows: LabelledRows, sequences: np.ndarray) -> Sequence[float]:
    """Return the identities that are reported for sequences (n,) of one side, by their types."""
    types = {rows.sequences[each].seq_type for each in sequences.tolist()}
    return sorted({identity for seq_type in types for identity in IDENTITIES[seq_type]})


def _share(known: np.ndarray) -> tuple[int, int, float]:
    return len(known), int(known.sum()), float(known.mean()) if len(known) else float("nan")
