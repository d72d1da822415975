"""Embeddings as single HDF5 files, which need no shards beside them.

Everything is copied in blocks: of a sequence some bytes stay in memory, never its arrays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from lucaflow.engine.options import VECTORS
from lucaflow.files.space import require_space
from lucaflow.files.writing import replacing
from lucaflow.store.checksums import blocks_of
from lucaflow.store.embeddings import records_of
from lucaflow.store.format import FORMAT, key_of, open_hdf5, rows_of

BY_ID_FORMAT = "lucaflow-embeddings-by-id"


def _array_of(file: h5py.File, output: str, identifier: str) -> h5py.Dataset:
    """Return the array behind an id's link, having read all of it: StoreError if it is damaged."""
    dataset = file[f"{output}/{key_of(identifier)}"]
    for _ in blocks_of(dataset):
        pass
    return dataset


def _copy_arrays(source: h5py.File, output: str, target: h5py.Group) -> None:
    """Copy each distinct array once; the other ids that have it get a second name for it."""
    first = np.full(len(source["lengths"]), -1)
    ids_of = source["ids"].asstr()
    for block, ids, rows in records_of(source):
        for record, identifier, row in zip(range(block.start, block.stop), ids, rows.tolist(), strict=True):
            if first[row] >= 0:
                target[key_of(identifier)] = target[key_of(ids_of[first[row]])]
            else:
                source.copy(_array_of(source, output, identifier), target, key_of(identifier))
                first[row] = record


def export_standalone(embeddings: Path, outputs: Sequence[str], path: Path) -> None:
    """Write one file that `open_embeddings` opens like the original, with the matrices inside, each distinct one once.

    Raises StoreError where an array is damaged.
    """
    with _copying(embeddings, outputs, path) as (source, file):
        file.attrs.update(source.attrs)
        for name in source:
            if name not in outputs or name in VECTORS:
                source.copy(name, file)
        for output in outputs:
            if output not in VECTORS:
                _copy_arrays(source, output, file.create_group(output))


def export_by_id(embeddings: Path, output: str, path: Path) -> None:
    """Write one file with an array for each id at its root: a vector (H,) or a matrix (rows, w)."""
    with _copying(embeddings, [output], path) as (source, file):
        file.attrs.update({**source.attrs, "format": BY_ID_FORMAT})
        if output not in VECTORS:
            _copy_arrays(source, output, file)
            return
        for _, ids, rows in records_of(source):
            for identifier, vector in zip(ids, rows_of(source[output], rows), strict=True):
                file[key_of(identifier)] = vector


@contextmanager
def _copying(embeddings: Path, outputs: Sequence[str], path: Path) -> Iterator[tuple[h5py.File, h5py.File]]:
    """Open embeddings.h5, and a new file that gets its name when it is complete. Raises SpaceError beforehand.

    HDF5 does not survive a disk that is full while it makes many arrays: it may end the process.
    """
    with open_hdf5(embeddings, FORMAT) as source:
        without = f"take `{path.stem}` out of `export`"
        require_space(path.parent, _values(source, outputs), f"the export {path.name}", without)
        with replacing(path, guarded=True) as temporary, h5py.File(temporary, "w") as file:
            yield source, file


def _values(source: h5py.File, outputs: Sequence[str]) -> int:
    """Return the bytes of all values of the outputs, each distinct sequence once; names and arrays take more."""
    residues = source["residues_embedded"][:]
    width, item = int(source.attrs["hidden_size"]), np.dtype(json.loads(source.attrs["options"])["dtype"]).itemsize
    of_output = {"matrix": int(residues.sum()) * width, "contacts": int((residues**2).sum())}
    return sum(of_output.get(output, len(residues) * width) for output in outputs) * item
