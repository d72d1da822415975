"""From which files does a training read the embeddings of sequences, and which of them stay in memory?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from lucaflow.downstream.inputs import MATRIX
from lucaflow.downstream.prediction import ShardSource
from lucaflow.downstream.required_embeddings import EmbeddingRequest
from lucaflow.errors import StoreError
from lucaflow.store.checksums import read_checked, read_checked_rows
from lucaflow.store.format import SHARD_FORMAT, open_hdf5

# Bytes of matrices that stay in memory; what does not fit is read again in each epoch.
IN_MEMORY = 4_000_000_000
_OPEN_FILES = 64
_VECTORS_AT_ONCE = 4096


class StoredEmbeddings:
    """Reads the matrix (k, E) of a sequence by its digest, or its vector (E,), in float32.

    All vectors are read at once. The first matrices that are read stay in memory, up to `in_memory` bytes: an epoch
    reads them all, so the last ones would be the wrong ones to keep. Raises StoreError for a sequence that no shard
    has, or that is damaged.
    """

    def __init__(
        self,
        sources: Sequence[ShardSource],
        request: EmbeddingRequest,
        digests: Sequence[str],
        in_memory: int = IN_MEMORY,
    ) -> None:
        self._request = request
        self._open: dict[Path, h5py.File] = {}
        self._kept: dict[str, np.ndarray] = {}
        self._left = in_memory
        self._source: dict[str, ShardSource] = {}
        wanted = set(digests)
        for source in sources:
            with open_hdf5(source.path, SHARD_FORMAT) as shard:
                names, lengths = shard["digests"][:], shard["lengths"][:]
            usable = {length: source.serves(request, length) for length in np.unique(lengths).tolist()}
            for name, length in zip(names.tolist(), lengths.tolist(), strict=True):
                if usable[length] and (digest := name.decode()) in wanted:
                    self._source.setdefault(digest, source)
        missing = wanted - self._source.keys()
        if missing:
            raise StoreError(
                f"no shard has the embedding of sequence {min(missing)}, nor of {len(missing) - 1} others. Run again."
            )
        self._vectors = self._read_vectors() if request.output != MATRIX else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _read_vectors(self) -> dict[str, np.ndarray]:
        """Return the vector (E,) of each sequence."""
        found: dict[str, np.ndarray] = {}
        for source in {id(each): each for each in self._source.values()}.values():
            shard = self._file(source.path)
            names = [name.decode() for name in shard["digests"][:].tolist()]
            wanted = np.array([self._source.get(name) is source for name in names], dtype=bool)
            for start in range(0, len(names), _VECTORS_AT_ONCE):
                rows = np.flatnonzero(wanted[start : start + _VECTORS_AT_ONCE])
                if len(rows):
                    block = read_checked_rows(shard, slice(start, start + _VECTORS_AT_ONCE))[self._request.output]
                    vectors = block[rows].astype(np.float32, copy=False)
                    found |= {names[start + row]: vector for row, vector in zip(rows.tolist(), vectors, strict=True)}
        return found

    def embedding(self, digest: str) -> np.ndarray:
        """Return the input of the network: the matrix (k, E) of a sequence, or its vector (E,)."""
        return self._vectors[digest] if self._vectors else self.matrix(digest)

    def matrix(self, digest: str) -> np.ndarray:
        """Return the matrix (k, E) of a sequence; the rows of [CLS] and [SEP] are in it only if they are trained on."""
        if digest in self._kept:
            return self._kept[digest]
        source = self._source[digest]
        found = read_checked(self._file(source.path)[f"matrix/{digest}"]).astype(np.float32, copy=False)
        if source.options.matrix_add_special_token and not self._request.special:
            found = found[1:-1]
        if found.nbytes <= self._left:
            self._left -= found.nbytes
            self._kept[digest] = found
        return found

    def mean(self, digest: str) -> np.ndarray:
        """Return the mean (E,) of the rows of residues, in float32; the vector that is trained on if it is one."""
        if self._vectors:
            return self._vectors[digest]
        rows = self.matrix(digest)
        rows = rows[1:-1] if self._request.special else rows
        return rows.mean(axis=0, dtype=np.float64).astype(np.float32)

    def _file(self, path: Path) -> h5py.File:
        if path not in self._open:
            if len(self._open) >= _OPEN_FILES:
                self._open.pop(next(iter(self._open))).close()
            self._open[path] = open_hdf5(path, SHARD_FORMAT)
        return self._open[path]
