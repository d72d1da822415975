"""How do shards become embeddings.h5, one file for a dataset with links to the matrices?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lucaflow import __version__
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError
from lucaflow.files.writing import replacing
from lucaflow.records.table import accepted_records
from lucaflow.store.checksums import read_checked_rows
from lucaflow.store.format import EMBEDDINGS_FORMAT, PER_SEQUENCE, SHARD_FORMAT, SPANS, hdf5_name, open_hdf5
from lucaflow.versions import EMBEDDINGS_FORMAT_VERSION

_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class AcceptedRecords:
    """The accepted records of a dataset, in input order.

    ids: N texts; digests: (U,) S64, the distinct sequences in order of first appearance; lengths: (U,) in residues;
    sequence_rows: (N,) the row of each record's sequence in digests and lengths.
    """

    ids: list[str]
    digests: np.ndarray
    lengths: np.ndarray
    sequence_rows: np.ndarray

    @cached_property
    def _sorted_order(self) -> np.ndarray:
        return np.argsort(self.digests)

    def find_rows(self, digests: np.ndarray) -> np.ndarray:
        """Return the row of each given digest, or -1 for an unknown digest."""
        place = np.searchsorted(self.digests, digests, sorter=self._sorted_order)
        rows = self._sorted_order[np.minimum(place, len(self._sorted_order) - 1)]
        return np.where(self.digests[rows] == digests, rows, -1)


def read_accepted(records: Path) -> AcceptedRecords:
    """Read the accepted records and their distinct sequences from records.tsv."""
    ids: list[str] = []
    digests: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    for accepted in accepted_records(records, ["id", "length", "digest"]):
        ids += accepted["id"].tolist()
        digests.append(accepted["digest"].to_numpy(dtype=object).astype("S64"))
        lengths.append(accepted["length"].to_numpy(dtype=object).astype(np.int64))
    distinct, first, inverse = np.unique(np.concatenate(digests), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return AcceptedRecords(ids, distinct[order], np.concatenate(lengths)[first[order]], rank[inverse])


def assemble(
    path: Path,
    attributes: Mapping[str, Any],
    options: EmbeddingOptions,
    accepted: AcceptedRecords,
    shards: Sequence[Path],
) -> None:
    """Write embeddings.h5. Raise StoreError unless the shards hold each sequence exactly once."""
    with open_hdf5(shards[0], SHARD_FORMAT) as shard:
        hidden_size = int(shard.attrs["hidden_size"])
        arrays = (*options.linked, SPANS) if SPANS in shard else options.linked
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            {
                "format": EMBEDDINGS_FORMAT,
                "format_version": EMBEDDINGS_FORMAT_VERSION,
                **attributes,
                "hidden_size": hidden_size,
                "options": options.to_attribute(),
                "lucaflow_version": __version__,
            }
        )
        file.create_dataset("ids", data=accepted.ids, dtype=h5py.string_dtype())
        file["sequence"] = accepted.sequence_rows
        file["digests"] = accepted.digests
        count = len(accepted.digests)
        for name in PER_SEQUENCE:
            file.create_dataset(name, (count,), np.int64)
        for name in options.vectors:
            file.create_dataset(name, (count, hidden_size), options.dtype)
        shard_of = _copy_shards(file, options, accepted, shards)
        for name in arrays:
            _link_arrays(file.create_group(name), name, path.parent, accepted, shards, shard_of)


def _copy_shards(
    file: h5py.File, options: EmbeddingOptions, accepted: AcceptedRecords, shards: Sequence[Path]
) -> np.ndarray:
    """Copy the vectors and counts to their rows; return the index (U,) of the shard that holds each row."""
    shard_of = np.full(len(accepted.digests), -1)
    numbers = {name: file[name][:] for name in PER_SEQUENCE}
    for index, shard_path in enumerate(shards):
        with open_hdf5(shard_path, SHARD_FORMAT) as shard:
            if shard.attrs["fingerprint"] != file.attrs["fingerprint"]:
                raise StoreError(f"{shard_path} was made with other options. Delete it and run again.")
            rows = accepted.find_rows(shard["digests"][:])
            if (rows < 0).any() or (shard_of[rows] >= 0).any():
                raise StoreError(
                    f"{shard_path} holds sequences that are not in records.tsv or are in another shard. "
                    "Delete it and run again."
                )
            shard_of[rows] = index
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                block = rows[start : start + _ROWS_AT_ONCE]
                order = np.argsort(block)
                values = read_checked_rows(shard, np.s_[start : start + _ROWS_AT_ONCE])
                for name in PER_SEQUENCE:
                    numbers[name][block] = values[name]
                for name in options.vectors:
                    file[name][block[order]] = values[name][order]
    for name, values in numbers.items():
        file[name][:] = values
    missing = accepted.digests[shard_of < 0]
    if len(missing):
        raise StoreError(f"{len(missing)} sequences are in no shard; the first is {missing[0].decode()}")
    return shard_of


def _link_arrays(
    group: h5py.Group,
    output: str,
    folder: Path,
    accepted: AcceptedRecords,
    shards: Sequence[Path],
    shard_of: np.ndarray,
) -> None:
    """Link each id to its array in the shards. Paths are relative to the folder of embeddings.h5."""
    names = [shard.relative_to(folder).as_posix() for shard in shards]
    for identifier, row in zip(accepted.ids, accepted.sequence_rows.tolist(), strict=True):
        digest = accepted.digests[row].decode()
        group[hdf5_name(identifier)] = h5py.ExternalLink(names[shard_of[row]], f"/{output}/{digest}")
