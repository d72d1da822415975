"""How are embeddings exported as a single HDF5 file that needs no shards?

Everything is copied in blocks: memory holds a few bytes for each sequence, but no arrays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from lucaflow.config.networks import no_place_for_spans
from lucaflow.engine.options import VECTORS
from lucaflow.errors import ConfigError
from lucaflow.files.space import require_space
from lucaflow.files.writing import replacing
from lucaflow.store.checksums import checked_blocks
from lucaflow.store.embeddings import record_blocks
from lucaflow.store.format import EMBEDDINGS_FORMAT, SPANS, hdf5_name, open_hdf5, read_rows

# A row of spans: two numbers of int32.
_BYTES_OF_A_SPAN = 8
BY_ID_FORMAT = "lucaflow-embeddings-by-id"


def _checked_array(file: h5py.File, output: str, identifier: str) -> h5py.Dataset:
    """Return the array that an id links to. Raise StoreError if its values do not match their checksum."""
    dataset = file[f"{output}/{hdf5_name(identifier)}"]
    for _ in checked_blocks(dataset):
        pass
    return dataset


def _copy_arrays(source: h5py.File, output: str, target: h5py.Group) -> None:
    """Copy each distinct array once; further ids with the same sequence become hard links to it."""
    first_record = np.full(len(source["lengths"]), -1)
    ids_by_record = source["ids"].asstr()
    for block, ids, rows in record_blocks(source):
        for record, identifier, row in zip(range(block.start, block.stop), ids, rows.tolist(), strict=True):
            if first_record[row] >= 0:
                target[hdf5_name(identifier)] = target[hdf5_name(ids_by_record[first_record[row]])]
            else:
                source.copy(_checked_array(source, output, identifier), target, hdf5_name(identifier))
                first_record[row] = record


def export_standalone(embeddings: Path, outputs: Sequence[str], path: Path) -> None:
    """Write one file that `open_embeddings` opens like the original. It contains each distinct matrix once.

    Raise StoreError if an array is damaged.
    """
    with _open_export(embeddings, outputs, path) as (source, file):
        file.attrs.update(source.attrs)
        arrays = [name for name in (*outputs, SPANS) if name in source and name not in VECTORS]
        for name in source:
            if name not in arrays:
                source.copy(name, file)
        for name in arrays:
            _copy_arrays(source, name, file.create_group(name))


def export_by_id(embeddings: Path, output: str, path: Path) -> None:
    """Write one file with one array for each id at its root: a vector (H,) or a matrix (rows, w).

    Raise ConfigError for matrices whose rows cover several letters, since this layout cannot hold their spans.
    """
    with _open_export(embeddings, [output], path) as (source, file):
        if output == "matrix" and SPANS in source:
            raise ConfigError(no_place_for_spans(f"`{source.attrs['llm_version']}`"))
        file.attrs.update({**source.attrs, "format": BY_ID_FORMAT})
        if output not in VECTORS:
            _copy_arrays(source, output, file)
            return
        for _, ids, rows in record_blocks(source):
            for identifier, vector in zip(ids, read_rows(source[output], rows), strict=True):
                file[hdf5_name(identifier)] = vector


@contextmanager
def _open_export(embeddings: Path, outputs: Sequence[str], path: Path) -> Iterator[tuple[h5py.File, h5py.File]]:
    """Open embeddings.h5, and a new file that gets its name when it is complete. Raise SpaceError if it does not fit.

    The space is checked first because HDF5 may end the process if the disk fills up while it creates many arrays.
    """
    with open_hdf5(embeddings, EMBEDDINGS_FORMAT) as source:
        alternative = f"take `{path.stem}` out of `export`"
        require_space(path.parent, _bytes_of_values(source, outputs), f"the export {path.name}", alternative)
        with replacing(path) as temporary, h5py.File(temporary, "w") as file:
            yield source, file


def _bytes_of_values(source: h5py.File, outputs: Sequence[str]) -> int:
    """Return the size in bytes of the outputs' values, each distinct sequence once, without HDF5's own structures."""
    residues = source["residues_embedded"][:]
    if SPANS in source and "matrix" in outputs:
        return _bytes_of_byte_pairs(source, outputs)
    width, item = int(source.attrs["hidden_size"]), np.dtype(json.loads(source.attrs["options"])["dtype"]).itemsize
    value_counts = {"matrix": int(residues.sum()) * width, "contacts": int((residues**2).sum())}
    return sum(value_counts.get(output, len(residues) * width) for output in outputs) * item


def _bytes_of_byte_pairs(source: h5py.File, outputs: Sequence[str]) -> int:
    """Return what `_bytes_of_values` returns; each matrix says how many rows it has, and has spans."""
    width, item = int(source.attrs["hidden_size"]), np.dtype(json.loads(source.attrs["options"])["dtype"]).itemsize
    row_of_id = dict(zip(source["sequence"][:].tolist(), source["ids"].asstr()[:].tolist(), strict=True))
    rows = sum(len(source[f"matrix/{hdf5_name(identifier)}"]) for identifier in row_of_id.values())
    vectors = sum(name in VECTORS for name in outputs) * len(row_of_id)
    return (rows + vectors) * width * item + rows * _BYTES_OF_A_SPAN
