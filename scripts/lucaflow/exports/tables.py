"""How are vectors and the descriptions of their records written as one table, in Parquet or AnnData's .h5ad?

Both are written in blocks, so that memory does not grow with the number of records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lucaflow.errors import StoreError
from lucaflow.files.space import require_space
from lucaflow.files.writing import replacing
from lucaflow.records.further_columns import distinct_names
from lucaflow.records.table import accepted_records, columns_of_numbers, numbers_of
from lucaflow.store.format import EMBEDDINGS_FORMAT, open_hdf5, read_rows

# A row group of Parquet: about 20 MB for each vector output.
_RECORDS_AT_ONCE = 2048
# Columns of both formats, beside id, length and vectors.
TEXT_COLUMNS = ("description", "label", "digest")
_ANNDATA_GROUPS = ("layers", "obsm", "obsp", "varm", "varp", "uns")


@dataclass(frozen=True)
class RecordTables:
    """The tables that describe the records of a dataset: records.tsv, labels, and further columns."""

    records: Path
    labels: Path
    columns: Path

    @cached_property
    def further(self) -> dict[str, bool]:
        """The further columns, and whether each holds numbers."""
        return columns_of_numbers(self.columns)

    def values(self, name: str, texts: pd.Series) -> Any:
        """Return cells (n,) of a further column: a list of texts, empty if missing, or float64 with NaN."""
        if not self.further[name]:
            return texts.fillna("").tolist()
        numbers = numbers_of(texts)
        assert numbers is not None
        return numbers.to_numpy()


def described_records(file: h5py.File, tables: RecordTables) -> Iterator[tuple[slice, np.ndarray, dict[str, Any]]]:
    """Yield blocks of records in input order: their slice, the rows (n,) of their sequences, and their columns.

    The slice is for arrays of N records, the rows are for arrays of U distinct sequences. Columns are `id`,
    `description`, `label` (empty if a record has none), `length` in residues, `digest`, and the further ones: texts, or
    float64 with NaN. Raise StoreError if the records differ from those of the embeddings.
    """
    count, records = 0, tables.records
    described = accepted_records(records, ["id", "description"], tables.labels, further=tables.columns)
    for part in in_blocks(described, _RECORDS_AT_ONCE):
        block = slice(count, count + len(part))
        count += len(part)
        ids = part["id"].tolist()
        if file["ids"].asstr()[block].tolist() != ids:
            raise StoreError(f"{records} and {file.filename} do not hold the same records; run `snakemake verify`")
        rows = file["sequence"][block]
        columns = {
            "id": ids,
            "description": part["description"].tolist(),
            "label": part["label"].fillna("").tolist(),
            "length": read_rows(file["lengths"], rows),
            "digest": np.char.decode(read_rows(file["digests"], rows)).tolist(),
            **{name: tables.values(name, part[name]) for name in tables.further},
        }
        yield block, rows, columns
    if count != len(file["ids"]):
        raise StoreError(
            f"{records} has {count} records, but {file.filename} has {len(file['ids'])}; run `snakemake verify`"
        )


def in_blocks(parts: Iterator[pd.DataFrame], size: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of tables in blocks of `size` rows; the last block may be smaller."""
    held = pd.DataFrame()
    for part in parts:
        held = part if held.empty else pd.concat([held, part])
        while len(held) >= size:
            yield held.iloc[:size]
            held = held.iloc[size:]
    if len(held):
        yield held


@contextmanager
def open_export(
    embeddings: Path, outputs: Sequence[str], path: Path, name: str, bytes_of_number: int = 4
) -> Iterator[tuple[h5py.File, Path]]:
    """Yield the opened embeddings.h5 and the temporary path to write to. Raise SpaceError if the vectors do not fit.

    bytes_of_number: in the file; by default that of float32.
    """
    with open_hdf5(embeddings, EMBEDDINGS_FORMAT) as source:
        values = len(source["ids"]) * len(outputs) * int(source.attrs["hidden_size"]) * bytes_of_number
        require_space(path.parent, values, f"the export {path.name}", f"take `{name}` out of `export`")
        with replacing(path) as temporary:
            yield source, temporary


def export_parquet(embeddings: Path, tables: RecordTables, outputs: Sequence[str], path: Path) -> None:
    """Write one row for each record. Vectors are lists of H float32, since few readers of Parquet know float16.

    The metadata of the schema has the attributes of embeddings.h5, as JSON under `lucaflow`.
    """
    with open_export(embeddings, outputs, path, "parquet") as (source, temporary):
        width = int(source.attrs["hidden_size"])
        columns = [(name, pa.string()) for name in ("id", *TEXT_COLUMNS)] + [("length", pa.int64())]
        columns += [(name, pa.float64() if numbers else pa.string()) for name, numbers in tables.further.items()]
        columns += [(output, pa.list_(pa.float32(), width)) for output in outputs]
        schema = pa.schema(columns, metadata={"lucaflow": json.dumps(_provenance(source))})
        with pq.ParquetWriter(temporary, schema, use_dictionary=["label"]) as writer:
            for _, rows, described in described_records(source, tables):
                vectors = {
                    output: pa.FixedSizeListArray.from_arrays(
                        read_rows(source[output], rows).astype(np.float32).ravel(), width
                    )
                    for output in outputs
                }
                writer.write_table(pa.table(described | vectors, schema=schema))


def _provenance(source: h5py.File) -> dict[str, Any]:
    """Return the attributes of embeddings.h5 as types that JSON supports."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in source.attrs.items()}


def export_anndata(embeddings: Path, tables: RecordTables, outputs: Sequence[str], path: Path) -> None:
    """Write records as observations: `X` (N, H) holds the first output, `obsm` the others, all in float32.

    The layout is AnnData's file format 0.1.0 (https://anndata.readthedocs.io/en/stable/fileformat-prose.html). The
    library `anndata` is not used because it would hold the whole table in memory.
    """
    with open_export(embeddings, outputs, path, "anndata") as (source, temporary), h5py.File(temporary, "w") as file:
        count, width = len(source["ids"]), int(source.attrs["hidden_size"])
        _with_encoding(file, "anndata", "0.1.0")
        for name in _ANNDATA_GROUPS:
            _with_encoding(file.create_group(name), "dict", "0.1.0")
        for name, value in {**_provenance(source), "outputs": ", ".join(outputs)}.items():
            _with_encoding(file["uns"].create_dataset(name, data=value), *_scalar_encoding(value))
        locations = {output: f"obsm/{output}" for output in outputs[1:]} | {outputs[0]: "X"}
        vectors = {
            output: _with_encoding(file.create_dataset(location, (count, width), np.float32), "array", "0.2.0")
            for output, location in locations.items()
        }
        _create_frame(file, "var", width, {"channel": str})["channel"][:] = [str(channel) for channel in range(width)]
        kinds: dict[str, type] = {"id": str, "length": int, **dict.fromkeys(TEXT_COLUMNS, str)}
        # A slash in the name of a dataset would open a group.
        plain = [name.replace("/", "_") for name in tables.further]
        keys = dict(zip(tables.further, distinct_names(plain, (*kinds, "_index"), "column"), strict=True))
        kinds |= {keys[name]: float if numbers else str for name, numbers in tables.further.items()}
        observations = _create_frame(file, "obs", count, kinds)
        for block, rows, columns in described_records(source, tables):
            for name, values in columns.items():
                key = keys.get(name, name)
                # HDF5 has no text with a NUL, but a description may contain one.
                is_text = kinds[key] is str and name != "id"
                observations[key][block] = [v.replace("\0", "") for v in values] if is_text else values
            for output, dataset in vectors.items():
                dataset[block] = read_rows(source[output], rows)


def _with_encoding(item: Any, kind: str, version: str) -> Any:
    """Add the attributes with which AnnData recognises the type of an item; return the item."""
    item.attrs.update({"encoding-type": kind, "encoding-version": version})
    return item


def _scalar_encoding(value: Any) -> tuple[str, str]:
    return ("string", "0.2.0") if isinstance(value, str) else ("numeric-scalar", "0.2.0")


def _create_frame(file: h5py.File, name: str, count: int, columns: dict[str, type]) -> h5py.Group:
    """Create a data frame of `count` rows. The first column is its index."""
    index, *others = columns
    group = _with_encoding(file.create_group(name), "dataframe", "0.2.0")
    group.attrs["_index"] = index
    group.attrs.create("column-order", others, (len(others),), h5py.string_dtype())
    for column, kind in columns.items():
        dtype = {str: h5py.string_dtype(), int: np.int64, float: np.float64}[kind]
        encoding = "string-array" if kind is str else "array"
        _with_encoding(group.create_dataset(column, (count,), dtype), encoding, "0.2.0")
    return group
