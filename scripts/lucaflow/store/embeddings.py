"""How are the embeddings of an id read from embeddings.h5 and its shards?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np

from lucaflow.engine.options import VECTORS
from lucaflow.errors import StoreError, quoted
from lucaflow.store.format import EMBEDDINGS_FORMAT, SPANS, open_hdf5
from lucaflow.store.linked_arrays import LinkedArrays

if TYPE_CHECKING:
    import pandas as pd

_RECORDS_AT_ONCE = 1024


class SingleOutput(np.ndarray):
    """The array of an id in a dataset with one output. It answers to the output's name too: `found["mean"]`."""

    output: str

    @classmethod
    def of(cls, values: np.ndarray, output: str) -> SingleOutput:
        named = np.asarray(values).view(cls)
        named.output = output
        return named

    def __getitem__(self, key: Any) -> Any:
        array = np.asarray(self)
        if not isinstance(key, str):
            return array[key]
        if key != self.output:
            raise KeyError(f"there is no output {key!r}; the only output is {self.output}")
        return array

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Make what is computed from it a plain array or number."""
        return array[()] if return_scalar else np.asarray(array)

    def __reduce__(self) -> Any:
        """Pickle it as a plain array."""
        return np.asarray(self).__reduce__()


class Embeddings(Mapping[str, Any]):
    """The embeddings of a dataset by id, each read on access.

    `emb["P12345"]["mean"]` is an array: (H,) for a vector, (rows, H) for a matrix. If the file holds one output,
    `emb["P12345"]` is that array too. Of an id with bars, such as `sp|P12345|AATM_RABIT`, a part is enough if no other
    id has it. Use `Embeddings` as a context manager, or close it. A pickled one opens the file again.

    Shards stay open, and a matrix is compared with its checksum the first time that it is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = open_hdf5(path, EMBEDDINGS_FORMAT)
        self.attrs: dict[str, Any] = dict(self.file.attrs)
        self.options: dict[str, Any] = json.loads(self.attrs["options"])
        self.outputs: tuple[str, ...] = tuple(self.options["outputs"])
        self.ids: list[str] = self.file["ids"].asstr()[:].tolist()
        self._rows = dict(zip(self.ids, self.file["sequence"][:].tolist(), strict=True))
        self._linked = LinkedArrays(self.file)

    @property
    def model(self) -> str:
        """The name of the model with its step, as the folder of its results; a name of one's own has no step."""
        return "-".join(str(self.attrs[part]) for part in ("llm_version", "llm_step") if part in self.attrs)

    def __getitem__(self, identifier: str) -> Any:
        found = {name: self.read(name, identifier) for name in self.outputs}
        (first, values), *others = found.items()
        return found if others else SingleOutput.of(values, first)

    def read(self, output: str, identifier: str) -> np.ndarray:
        """Return one output of an id. Raise KeyError for an unknown id, StoreError for an unknown output."""
        self._require(output)
        if output in VECTORS:
            return self.file[output][self._rows[self._full_id(identifier)]]
        return self._linked.read(output, self._full_id(identifier))

    def matrix(self, identifier: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the rows (stop - start, H) of an id's matrix, numbered from 0 as in a slice; negative: from the end.

        The first time all rows of the matrix are read to compare them with their checksum, but only these are kept in
        memory. Raises as `read`.
        """
        self._require("matrix")
        return self._linked.read("matrix", self._full_id(identifier), start, stop)

    def spans(self, identifier: str) -> np.ndarray:
        """Return the letters (k, 2) that the rows of an id's matrix cover: the first, counted from 0, and the end.

        Where a network reads several letters as one token. Raises as `read`, and StoreError if a row is a residue.
        """
        if SPANS not in self.file:
            raise StoreError(
                f"{self.path}: it has no spans. Only matrices of a network that reads several letters as one token "
                "have them; elsewhere each row is one residue."
            )
        return self._linked.read(SPANS, self._full_id(identifier))

    def _full_id(self, identifier: str) -> str:
        """Return the id, or the only one of which this is a part. Raises KeyError that names similar ids."""
        if identifier in self._rows:
            return identifier
        of_part = self._ids_of_part.get(identifier, [])
        if len(of_part) == 1:
            return of_part[0]
        if of_part:
            listed = ", ".join(map(quoted, of_part[:5])) + ", ..." * (len(of_part) > 5)
            raise KeyError(f"there is no id {quoted(identifier)}, but {len(of_part)} ids with this part: {listed}")
        alike = next((other for other in self.ids if identifier and identifier in other), None)
        raise KeyError(f"there is no id {quoted(identifier)}" + (f"; a similar id is {quoted(alike)}" if alike else ""))

    @cached_property
    def _ids_of_part(self) -> dict[str, list[str]]:
        """Return the ids that have a part between bars; the part before the first bar names a database."""
        found: dict[str, list[str]] = {}
        for identifier in self.ids:
            for part in filter(None, dict.fromkeys(identifier.split("|")[1:])):
                found.setdefault(part, []).append(identifier)
        return found

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._rows or len(self._ids_of_part.get(identifier, ())) == 1  # type: ignore[call-overload]

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

    def __reduce__(self) -> tuple[Any, ...]:
        return open_embeddings, (self.path.absolute(),)

    def close(self) -> None:
        self._linked.close()
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
