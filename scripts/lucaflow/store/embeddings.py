"""How are the embeddings of an id read from embeddings.h5 and its shards?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np

from lucaflow.engine.options import VECTORS
from lucaflow.errors import StoreError, quoted
from lucaflow.store.checksums import read_checked
from lucaflow.store.format import EMBEDDINGS_FORMAT, SHARD_FORMAT, hdf5_name, open_hdf5
from lucaflow.versions import SHARD_FORMAT_VERSION

if TYPE_CHECKING:
    import pandas as pd

_RECORDS_AT_ONCE = 1024


class Embeddings(Mapping[str, Any]):
    """The embeddings of a dataset by id, each read on access.

    `emb["P12345"]` is an array: (H,) for a vector, (rows, H) for a matrix. If the file holds several outputs, it is a
    dict of arrays by output name. Use `Embeddings` as a context manager, or close it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = open_hdf5(path, EMBEDDINGS_FORMAT)
        self.attrs: dict[str, Any] = dict(self.file.attrs)
        self.options: dict[str, Any] = json.loads(self.attrs["options"])
        self.outputs: tuple[str, ...] = tuple(self.options["outputs"])
        self.ids: list[str] = self.file["ids"].asstr()[:].tolist()
        self._rows = dict(zip(self.ids, self.file["sequence"][:].tolist(), strict=True))

    def __getitem__(self, identifier: str) -> Any:
        found = {name: self.read(name, identifier) for name in self.outputs}
        return found[self.outputs[0]] if len(found) == 1 else found

    def read(self, output: str, identifier: str) -> np.ndarray:
        """Return one output of an id. Raise KeyError for an unknown id, StoreError for an unknown output."""
        self._require(output)
        if (row := self._rows.get(identifier)) is None:
            alike = next((other for other in self.ids if identifier and identifier in other), None)
            raise KeyError(
                f"there is no id {quoted(identifier)}" + (f"; a similar id is {quoted(alike)}" if alike else "")
            )
        if output in VECTORS:
            return self.file[output][row]
        link = f"{output}/{hdf5_name(identifier)}"
        try:
            dataset = self.file[link]
        except (KeyError, OSError) as error:
            shard = self.file.get(link, getlink=True)
            raise StoreError(
                f"{self.path}: the {output} of {quoted(identifier)} should be in {self.path.parent / shard.filename}, "
                "which is missing or damaged. Keep the shards beside embeddings.h5, or run LucaFlow again."
            ) from error
        found = dataset.file.attrs.get("format"), dataset.file.attrs.get("format_version")
        if found[0] == SHARD_FORMAT and found[1] != SHARD_FORMAT_VERSION:
            raise StoreError(
                f"{dataset.file.filename}: expected format {SHARD_FORMAT} {SHARD_FORMAT_VERSION}, found {found[1]}, "
                "written by another version of LucaFlow. Read it with that version, or run LucaFlow again."
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
        """Return one vector output as a table (N, H) with one row for each id; by default the first vector output."""
        import pandas as pd  # arrays are read without it

        chosen = output or next((name for name in self.outputs if name in VECTORS), self.outputs[0])
        self._require(chosen)
        if chosen not in VECTORS:
            raise StoreError(f"{self.path}: {chosen} is no vector, so it has no table; read it by id: embeddings[id]")
        values = self.file[chosen][:]
        return pd.DataFrame(values[self.file["sequence"][:]], index=pd.Index(self.ids, name="id"))

    def _require(self, output: str) -> None:
        if output not in self.outputs:
            raise StoreError(f"{self.path}: there is no output {output!r}; the outputs are {', '.join(self.outputs)}")

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_embeddings(path: str | Path) -> Embeddings:
    """Open an embeddings.h5 file. Raise StoreError if the file is not one.

    >>> with open_embeddings("results/my_proteins/mini-1/embeddings.h5") as embeddings:
    ...     len(embeddings), embeddings.outputs
    ...     embeddings["P12345"]["matrix"].shape, embeddings["P12345"]["mean"].shape
    ...     embeddings.to_frame("mean").shape
    (2, ('mean', 'matrix'))
    ((12, 128), (128,))
    (2, 128)
    """
    return Embeddings(Path(path))


def record_blocks(file: h5py.File, at_once: int = _RECORDS_AT_ONCE) -> Iterator[tuple[slice, list[str], np.ndarray]]:
    """Yield blocks of records in input order: their slice, their ids, and the rows (n,) of their sequences.

    The slice is for arrays of N records, the rows are for arrays of U distinct sequences.
    """
    count = len(file["ids"])
    for start in range(0, count, at_once):
        block = slice(start, min(start + at_once, count))
        yield block, file["ids"].asstr()[block].tolist(), file["sequence"][block]
