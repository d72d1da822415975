"""Embeddings by id: reading embeddings.h5 and the shards behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import pandas as pd

from lucaflow.engine.options import VECTORS
from lucaflow.errors import StoreError
from lucaflow.store.checksums import read_checked
from lucaflow.store.format import FORMAT, SHARD_FORMAT, key_of, open_hdf5
from lucaflow.versions import SHARD_FORMAT_VERSION

_RECORDS_AT_ONCE = 1024


class Embeddings(Mapping[str, Any]):
    """The embeddings of a dataset by id, read when asked for.

    `emb["P12345"]` is an array: (H,) for a vector, (rows, H) for a matrix; where the file holds several outputs it
    is a dict of them by name. Use it as a context manager, or close it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = open_hdf5(path, FORMAT)
        self.attrs: dict[str, Any] = dict(self.file.attrs)
        self.options: dict[str, Any] = json.loads(self.attrs["options"])
        self.outputs: tuple[str, ...] = tuple(self.options["outputs"])
        self.ids: list[str] = self.file["ids"].asstr()[:].tolist()
        self._rows = dict(zip(self.ids, self.file["sequence"][:].tolist(), strict=True))

    def __getitem__(self, identifier: str) -> Any:
        found = {name: self.read(name, identifier) for name in self.outputs}
        return found[self.outputs[0]] if len(found) == 1 else found

    def read(self, output: str, identifier: str) -> np.ndarray:
        """Return one output of an id. Raises KeyError for an id, StoreError for an output, that is not there."""
        self._require(output)
        if (row := self._rows.get(identifier)) is None:
            alike = next((other for other in self.ids if identifier and identifier in other), None)
            raise KeyError(f"there is no id {identifier!r}" + (f", but {alike!r}" if alike else ""))
        if output in VECTORS:
            return self.file[output][row]
        link = f"{output}/{key_of(identifier)}"
        try:
            dataset = self.file[link]
        except (KeyError, OSError) as error:
            shard = self.file.get(link, getlink=True)
            raise StoreError(
                f"{self.path}: the {output} of {identifier!r} should be in {self.path.parent / shard.filename}, "
                "which is missing or damaged. Keep the shards beside embeddings.h5, or run LucaFlow again."
            ) from error
        found = dataset.file.attrs.get("format"), dataset.file.attrs.get("format_version")
        if found[0] == SHARD_FORMAT and found[1] != SHARD_FORMAT_VERSION:
            raise StoreError(
                f"{dataset.file.filename}: expected format {SHARD_FORMAT} {SHARD_FORMAT_VERSION}, found {found[1]}, "
                "which another version of LucaFlow wrote. Read it with that one, or run this one again."
            )
        try:
            return read_checked(dataset)
        except StoreError as error:
            remedy = "`snakemake verify` removes the file, and the next run makes it again."
            raise StoreError(f"{error}. {remedy}") from error

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def to_frame(self, output: str | None = None) -> pd.DataFrame:
        """Return one kind of vector as a table (N, H), a row for each id; the first kind there is by default."""
        chosen = output or next((name for name in self.outputs if name in VECTORS), self.outputs[0])
        self._require(chosen)
        if chosen not in VECTORS:
            raise StoreError(f"{self.path}: a table holds vectors, {chosen} is none; read it by its id: embeddings[id]")
        values = self.file[chosen][:]
        return pd.DataFrame(values[self.file["sequence"][:]], index=pd.Index(self.ids, name="id"))

    def _require(self, output: str) -> None:
        if output not in self.outputs:
            raise StoreError(f"{self.path}: there is no {output!r}; there are {', '.join(self.outputs)}")

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_embeddings(path: str | Path) -> Embeddings:
    """Open an embeddings.h5. Raises StoreError if it is not one."""
    return Embeddings(Path(path))


def records_of(file: h5py.File, at_once: int = _RECORDS_AT_ONCE) -> Iterator[tuple[slice, list[str], np.ndarray]]:
    """Yield blocks of records in input order: which they are, their ids, and their rows (n,) in arrays of length U."""
    count = len(file["ids"])
    for start in range(0, count, at_once):
        block = slice(start, min(start + at_once, count))
        yield block, file["ids"].asstr()[block].tolist(), file["sequence"][block]
