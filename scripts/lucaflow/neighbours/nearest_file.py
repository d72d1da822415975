"""The neighbours of all sequences of a dataset in one file, as a search by jobs leaves them for the figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from lucaflow.files.writing import replacing
from lucaflow.neighbours.search import Neighbours
from lucaflow.store.format import NEAREST_FORMAT, open_hdf5
from lucaflow.versions import NEAREST_FORMAT_VERSION

_GROUPS = ("neighbours", "neighbours_of_left_out")


@dataclass(frozen=True)
class Nearest:
    """What was found for a dataset. neighbours: (U, k) rows of the reference.

    left_out: (E,) rows of another dataset that is searched, ascending; left_out_neighbours: (E, k) theirs. None of the
    dataset itself, whose neighbours are these. recall: (S,) of an approximate search, for a sample of the sequences the
    share of the exact neighbours that it found; None of the exact search.
    """

    neighbours: Neighbours
    left_out: np.ndarray
    left_out_neighbours: Neighbours
    recall: np.ndarray | None = None


def write_nearest(path: Path, found: Nearest) -> None:
    """Write the neighbours of a dataset."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"format": NEAREST_FORMAT, "format_version": NEAREST_FORMAT_VERSION})
        file["left_out"] = found.left_out
        if found.recall is not None:
            file["recall"] = found.recall
        for group, neighbours in zip(_GROUPS, (found.neighbours, found.left_out_neighbours), strict=True):
            file[f"{group}/rows"] = neighbours.rows.astype(np.int32, copy=False)
            file[f"{group}/similarity"] = neighbours.similarity


def read_nearest(path: Path) -> Nearest:
    """Read the neighbours of a dataset. Raises StoreError for another file."""
    with open_hdf5(path, NEAREST_FORMAT) as file:
        every, of_left_out = (Neighbours(file[f"{name}/rows"][:], file[f"{name}/similarity"][:]) for name in _GROUPS)
        recall = file["recall"][:] if "recall" in file else None
        return Nearest(every, file["left_out"][:], of_left_out, recall)
