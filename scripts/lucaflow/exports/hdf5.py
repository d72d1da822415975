"""Embeddings as single HDF5 files and as numpy's: what needs no shards beside it, or no HDF5 at all.

Everything is copied in blocks: of a sequence some bytes stay in memory, never its arrays.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lucaflow.engine.options import VECTORS
from lucaflow.files.checksums import guard_of
from lucaflow.files.space import require_space
from lucaflow.files.writing import replacing
from lucaflow.store.checksums import blocks_of
from lucaflow.store.format import FORMAT, key_of, open_hdf5, rows_of

BY_ID_FORMAT = "lucaflow-embeddings-by-id"
_RECORDS_AT_ONCE = 1024


def records_of(file: h5py.File, at_once: int = _RECORDS_AT_ONCE) -> Iterator[tuple[slice, list[str], np.ndarray]]:
    """Yield blocks of records in input order: which they are, their ids, and their rows (n,) in arrays of length U."""
    count = len(file["ids"])
    for start in range(0, count, at_once):
        block = slice(start, min(start + at_once, count))
        yield block, file["ids"].asstr()[block].tolist(), file["sequence"][block]


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


def export_npy(embeddings: Path, outputs: Sequence[str], folder: Path) -> None:
    """Write `<output>.npy` (N, H) of each kind of vector, and ids.tsv, whose row i says what row i is of.

    Those of kinds that are not asked for any more go: their rows may be of other records.
    """
    for output in set(VECTORS) - set(outputs):
        for path in (folder / f"{output}.npy", guard_of(folder / f"{output}.npy")):
            path.unlink(missing_ok=True)
    with ExitStack() as stack:
        source = stack.enter_context(open_hdf5(embeddings, FORMAT))
        lines = _opened(stack, folder / "ids.tsv", "w", encoding="utf-8", newline="")
        arrays = {output: _opened(stack, folder / f"{output}.npy", "wb") for output in outputs}
        for output, file in arrays.items():
            shape = len(source["ids"]), source[output].shape[1]
            described = np.lib.format.dtype_to_descr(source[output].dtype)
            header = {"descr": described, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        table = csv.writer(lines, delimiter="\t", lineterminator="\n")
        table.writerow(("row", "id", "length", "digest"))
        for block, ids, rows in records_of(source):
            lengths, digests = rows_of(source["lengths"], rows), np.char.decode(rows_of(source["digests"], rows))
            table.writerows(zip(range(block.start, block.stop), ids, lengths, digests, strict=True))
            for output, file in arrays.items():
                file.write(np.ascontiguousarray(rows_of(source[output], rows)))


def _opened(stack: ExitStack, path: Path, mode: str, **options: Any) -> Any:
    """Open a file that gets its name when the stack is left."""
    return stack.enter_context(stack.enter_context(replacing(path, guarded=True)).open(mode, **options))
