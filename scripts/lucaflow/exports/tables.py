"""Vectors with what is known of their records, as one table: Parquet, and AnnData's .h5ad.

Both are written in blocks: of a record nothing stays in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lucaflow.errors import StoreError
from lucaflow.files.space import require_space
from lucaflow.files.writing import replacing
from lucaflow.records.table import accepted_records
from lucaflow.store.format import FORMAT, open_hdf5, rows_of

# A group of rows in Parquet: some 20 MB of each kind of vector.
_RECORDS_AT_ONCE = 2048
# What both say of a record, beside its id, length and vectors.
TEXTS = ("description", "label", "digest")
_GROUPS = ("layers", "obsm", "obsp", "varm", "varp", "uns")


def described_records(
    file: h5py.File, records: Path, labels: Path
) -> Iterator[tuple[slice, np.ndarray, dict[str, Any]]]:
    """Yield blocks of records in input order: which they are, their rows (n,) in arrays of length U, and their columns.

    Columns are `id`, `description`, `label` (empty where there is none), `length` in residues, and `digest`.
    Raises StoreError where the records are not those of the embeddings.
    """
    count = 0
    for part in accepted_records(records, ["id", "description"], labels, _RECORDS_AT_ONCE):
        block = slice(count, count + len(part))
        count += len(part)
        ids = part["id"].tolist()
        if file["ids"].asstr()[block].tolist() != ids:
            raise StoreError(f"{records} and {file.filename} are not of the same records; run `snakemake verify`")
        rows = file["sequence"][block]
        if not len(rows):
            continue
        columns = {
            "id": ids,
            "description": part["description"].tolist(),
            "label": part["label"].fillna("").tolist(),
            "length": rows_of(file["lengths"], rows),
            "digest": np.char.decode(rows_of(file["digests"], rows)).tolist(),
        }
        yield block, rows, columns
    if count != len(file["ids"]):
        raise StoreError(f"{records} has {count} records, {file.filename} {len(file['ids'])}; run `snakemake verify`")


@contextmanager
def _exporting(embeddings: Path, outputs: Sequence[str], path: Path, name: str) -> Iterator[tuple[h5py.File, Path]]:
    """Open embeddings.h5 and give the name to write to; SpaceError where there is no room for the vectors."""
    with open_hdf5(embeddings, FORMAT) as source:
        values = len(source["ids"]) * len(outputs) * int(source.attrs["hidden_size"]) * np.float32().itemsize
        require_space(path.parent, values, f"the export {path.name}", f"take `{name}` out of `export`")
        with replacing(path, guarded=True) as temporary:
            yield source, temporary


def export_parquet(embeddings: Path, records: Path, labels: Path, outputs: Sequence[str], path: Path) -> None:
    """Write a row for each record; vectors are lists of H float32, since few readers of Parquet know float16.

    Where the vectors come from is in the schema's metadata, as JSON under `lucaflow`.
    """
    with _exporting(embeddings, outputs, path, "parquet") as (source, temporary):
        width = int(source.attrs["hidden_size"])
        columns = [(name, pa.string()) for name in ("id", *TEXTS)] + [("length", pa.int64())]
        columns += [(output, pa.list_(pa.float32(), width)) for output in outputs]
        schema = pa.schema(columns, metadata={"lucaflow": json.dumps(_provenance(source))})
        with pq.ParquetWriter(temporary, schema, use_dictionary=["label"]) as writer:
            for _, rows, described in described_records(source, records, labels):
                vectors = {
                    output: pa.FixedSizeListArray.from_arrays(
                        rows_of(source[output], rows).astype(np.float32).ravel(), width
                    )
                    for output in outputs
                }
                writer.write_table(pa.table(described | vectors, schema=schema))


def _provenance(source: h5py.File) -> dict[str, Any]:
    """Return the attributes of embeddings.h5, in types that JSON has."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in source.attrs.items()}


def export_anndata(embeddings: Path, records: Path, labels: Path, outputs: Sequence[str], path: Path) -> None:
    """Write records as observations: `X` (N, H) holds the first of the outputs, `obsm` the others, all in float32.

    The layout is that of AnnData's file format 0.1.0 (https://anndata.readthedocs.io/en/stable/fileformat-prose.html);
    `anndata` itself would hold all of it in memory.
    """
    with _exporting(embeddings, outputs, path, "anndata") as (source, temporary), h5py.File(temporary, "w") as file:
        count, width = len(source["ids"]), int(source.attrs["hidden_size"])
        _encoded(file, "anndata", "0.1.0")
        for name in _GROUPS:
            _encoded(file.create_group(name), "dict", "0.1.0")
        for name, value in {**_provenance(source), "outputs": ", ".join(outputs)}.items():
            _encoded(file["uns"].create_dataset(name, data=value), *_scalar(value))
        places = {output: f"obsm/{output}" for output in outputs[1:]} | {outputs[0]: "X"}
        vectors = {
            output: _encoded(file.create_dataset(place, (count, width), np.float32), "array", "0.2.0")
            for output, place in places.items()
        }
        _frame(file, "var", width, {"channel": str})["channel"][:] = [str(channel) for channel in range(width)]
        observations = _frame(file, "obs", count, {"id": str, "length": int, **dict.fromkeys(TEXTS, str)})
        for block, rows, columns in described_records(source, records, labels):
            for name, values in columns.items():
                # HDF5 knows no text with a NUL in it; a description may have one.
                observations[name][block] = [v.replace("\0", "") for v in values] if name in TEXTS else values
            for output, dataset in vectors.items():
                dataset[block] = rows_of(source[output], rows)


def _encoded(item: Any, kind: str, version: str) -> Any:
    item.attrs.update({"encoding-type": kind, "encoding-version": version})
    return item


def _scalar(value: Any) -> tuple[str, str]:
    return ("string", "0.2.0") if isinstance(value, str) else ("numeric-scalar", "0.2.0")


def _frame(file: h5py.File, name: str, count: int, columns: dict[str, type]) -> h5py.Group:
    """Make a table of `count` rows; its first column is its index."""
    index, *others = columns
    group = _encoded(file.create_group(name), "dataframe", "0.2.0")
    group.attrs["_index"] = index
    group.attrs.create("column-order", others, (len(others),), h5py.string_dtype())
    for column, kind in columns.items():
        dtype = h5py.string_dtype() if kind is str else np.int64
        encoding = "string-array" if kind is str else "array"
        _encoded(group.create_dataset(column, (count,), dtype), encoding, "0.2.0")
    return group
