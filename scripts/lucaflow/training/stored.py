"""From which files does a training read the embeddings of sequences, and which of them stay in memory?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from lucaflow.downstream.prediction import ShardSource
from lucaflow.downstream.required_embeddings import EmbeddingRequest
from lucaflow.errors import StoreError
from lucaflow.store.checksums import read_checked
from lucaflow.store.format import SHARD_FORMAT, open_hdf5

# Bytes of matrices that stay in memory; what does not fit is read again in each epoch.
IN_MEMORY = 4_000_000_000
_OPEN_FILES = 64


class StoredEmbeddings:
    """Reads the matrix (k, E) of a sequence by its digest, in float32.

    The first matrices that are read stay in memory, up to `in_memory` bytes: an epoch reads them all, so the last ones
    would be the wrong ones to keep. Raises StoreError for a sequence that no shard has, or that is damaged.
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

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
        """Return the mean (E,) of the rows of residues, in float32."""
        rows = self.matrix(digest)
        rows = rows[1:-1] if self._request.special else rows
        return rows.mean(axis=0, dtype=np.float64).astype(np.float32)

    def _file(self, path: Path) -> h5py.File:
        if path not in self._open:
            if len(self._open) >= _OPEN_FILES:
                self._open.pop(next(iter(self._open))).close()
            self._open[path] = open_hdf5(path, SHARD_FORMAT)
        return self._open[path]
