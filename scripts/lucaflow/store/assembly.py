"""From shards to embeddings.h5: one file for a dataset, with the matrices behind links."""

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
from lucaflow.store.checksums import read_rows
from lucaflow.store.format import COUNTS, FORMAT, PER_SEQUENCE, SHARD_FORMAT, key_of, open_hdf5
from lucaflow.versions import EMBEDDINGS_FORMAT_VERSION

_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Accepted:
    """The accepted records of a dataset, in input order.

    ids: N texts; digests: (U,) S64, distinct sequences in order of first appearance; lengths: (U,);
    sequence: (N,) row of each record's sequence.
    """

    ids: list[str]
    digests: np.ndarray
    lengths: np.ndarray
    sequence: np.ndarray

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.digests)

    def rows_of(self, digests: np.ndarray) -> np.ndarray:
        """Return the rows of digests; -1 for one that is not among them."""
        place = np.searchsorted(self.digests, digests, sorter=self._order)
        rows = self._order[np.minimum(place, len(self._order) - 1)]
        return np.where(self.digests[rows] == digests, rows, -1)


def read_accepted(records: Path) -> Accepted:
    """Read what embeddings.h5 should hold from records.tsv."""
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
    return Accepted(ids, distinct[order], np.concatenate(lengths)[first[order]], rank[inverse])


def assemble(
    path: Path,
    attributes: Mapping[str, Any],
    options: EmbeddingOptions,
    accepted: Accepted,
    shards: Sequence[Path],
) -> None:
    """Write embeddings.h5. Raises StoreError if the shards do not hold each sequence exactly once."""
    with open_hdf5(shards[0], SHARD_FORMAT) as shard:
        hidden_size = int(shard.attrs["hidden_size"])
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            {
                "format": FORMAT,
                "format_version": EMBEDDINGS_FORMAT_VERSION,
                **attributes,
                "hidden_size": hidden_size,
                "options": options.to_attribute(),
                "lucaflow_version": __version__,
            }
        )
        file.create_dataset("ids", data=accepted.ids, dtype=h5py.string_dtype())
        file["sequence"] = accepted.sequence
        file["digests"] = accepted.digests
        count = len(accepted.digests)
        for name in PER_SEQUENCE:
            file.create_dataset(name, (count,), np.int64)
        for name in options.vectors:
            file.create_dataset(name, (count, hidden_size), options.dtype)
        shard_of = _copy_shards(file, options, accepted, shards)
        for name in options.linked:
            _link(file.create_group(name), name, path.parent, accepted, shards, shard_of)


def _copy_shards(file: h5py.File, options: EmbeddingOptions, accepted: Accepted, shards: Sequence[Path]) -> np.ndarray:
    """Copy the packed arrays to their rows; return the shard (U,) of each row."""
    shard_of = np.full(len(accepted.digests), -1)
    numbers = {name: file[name][:] for name in PER_SEQUENCE}
    for index, shard_path in enumerate(shards):
        with open_hdf5(shard_path, SHARD_FORMAT) as shard:
            if shard.attrs["fingerprint"] != file.attrs["fingerprint"]:
                raise StoreError(f"{shard_path} was made with other options. Delete it and run again.")
            rows = accepted.rows_of(shard["digests"][:])
            if (rows < 0).any() or (shard_of[rows] >= 0).any():
                raise StoreError(f"{shard_path} holds sequences that belong elsewhere. Delete it and run again.")
            shard_of[rows] = index
            numbers["lengths"][rows] = shard["lengths"][:]
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                block = rows[start : start + _ROWS_AT_ONCE]
                order = np.argsort(block)
                values = read_rows(shard, np.s_[start : start + _ROWS_AT_ONCE])
                for name in COUNTS:
                    numbers[name][block] = values[name]
                for name in options.vectors:
                    file[name][block[order]] = values[name][order]
    for name, values in numbers.items():
        file[name][:] = values
    missing = accepted.digests[shard_of < 0]
    if len(missing):
        raise StoreError(f"no shard holds {len(missing)} of the sequences; the first is {missing[0].decode()}")
    return shard_of


def _link(
    group: h5py.Group, output: str, folder: Path, accepted: Accepted, shards: Sequence[Path], shard_of: np.ndarray
) -> None:
    """Link each id to its array in the shards, by a path that starts at embeddings.h5's own folder."""
    names = [shard.relative_to(folder).as_posix() for shard in shards]
    for identifier, row in zip(accepted.ids, accepted.sequence.tolist(), strict=True):
        digest = accepted.digests[row].decode()
        group[key_of(identifier)] = h5py.ExternalLink(names[shard_of[row]], f"/{output}/{digest}")
