"""What a map knows of its points beside their records: neighbours, groups, and sequences to save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lucaflow.neighbours.comparison import Suggested
from lucaflow.neighbours.datasets import Searched
from lucaflow.neighbours.groups import Groups
from lucaflow.records.further_columns import distinct_names
from lucaflow.report.maps import Map, Related, Residues

# Of all sequences in a page. A browser takes seconds to open a page with more.
MOST_LETTERS = 10_000_000


@dataclass(frozen=True)
class Found:
    """What was found for a dataset. sentences: of its labels and groups, for people to read."""

    searched: Searched
    groups: Groups | None
    suggested: Suggested | None
    sentences: tuple[str, ...]


def with_neighbours(drawing: Map, found: Found, residues: Sequence[str] | None) -> Map:
    """Return a map with the neighbours of its points, further columns to colour them by, and their sequences.

    residues: (U,) of the distinct sequences of the dataset; None without. They are left out of the page if they have
    more than ten million letters.
    """
    dataset, reference = found.searched.dataset, found.searched.reference
    sequence = dataset.sequence[drawing.points.index.to_numpy()]  # (n,)
    added = {}
    if found.groups is not None:
        added["group"] = found.groups.names()[sequence]
    if found.suggested is not None:
        names = np.array([*reference.names, ""], dtype=object)
        added["suggested label"] = names[found.suggested.by_vectors.label[sequence]]
    shown = distinct_names(added, [str(name) for name in drawing.columns], "neighbours")
    columns = drawing.columns.assign(**dict(zip(shown, added.values(), strict=True)))
    return replace(
        drawing, columns=columns, remarks=found.sentences, related=_related(found.searched, sequence),
        residues=_residues(residues, sequence) if residues is not None else None,
    )  # fmt: skip


def _related(searched: Searched, sequence: np.ndarray) -> Related | None:
    """Return the neighbours of points. sequence: (n,) the distinct sequence of each."""
    rows = searched.neighbours.rows[sequence]
    used = np.unique(rows[rows >= 0])
    if not len(used):
        return None
    place = np.full(len(searched.reference.digests) + 1, -1, dtype=np.int32)
    place[used] = np.arange(len(used))
    points = np.full(len(used), -1, dtype=np.int32)
    if searched.is_own:
        distinct, first = np.unique(sequence, return_index=True)
        is_used = place[distinct] >= 0
        points[place[distinct[is_used]]] = first[is_used]
    names = searched.reference.ids[searched.reference.first[used]].tolist()
    similarity = searched.neighbours.similarity[sequence].astype(np.float32)
    return Related(names, points, place[rows], similarity)


def _residues(residues: Sequence[str], sequence: np.ndarray) -> Residues | None:
    used, numbers = np.unique(sequence, return_inverse=True)
    texts = [residues[row] for row in used.tolist()]
    return Residues(texts, numbers.astype(np.int32)) if sum(map(len, texts)) <= MOST_LETTERS else None
