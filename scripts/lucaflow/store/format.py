"""The HDF5 files: what a shard holds, what embeddings.h5 holds, and how to open it.

A shard holds the arrays of its sequences, the longest sequence first. embeddings.h5 holds the packed vectors of a
dataset, and links to the matrices in the shards. There each row of vectors has its checksum in `checksums`, and each
matrix has its own in an attribute.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import pandas as pd

from lucaflow.engine.options import VECTORS
from lucaflow.errors import EmbeddingError, StoreError, UnreadableError
from lucaflow.versions import EMBEDDINGS_FORMAT_VERSION, SHARD_FORMAT_VERSION

FORMAT = "lucaflow-embeddings"
SHARD_FORMAT = "lucaflow-shard"
COUNTS = ("residues_embedded", "windows")
PER_SEQUENCE = ("lengths", *COUNTS)
CHECKSUM = "checksum"
CHECKSUMS = 1 << 64
# Attributes of embeddings.h5 that say what it is of.
ATTRIBUTES = ("dataset", "llm_version", "llm_step", "checkpoint_sha256", "fingerprint")
_BLOCK_BYTES = 1 << 24


def key_of(identifier: str) -> str:
    """Return the name under which an id's matrix is linked: the id, as far as HDF5 allows it.

    `urllib.parse.unquote` turns it back.
    """
    key = identifier.replace("%", "%25").replace("/", "%2F")
    return "%2E" if key == "." else key


def checksum(rows: np.ndarray, first: int) -> int:
    """Return a checksum of rows (r, w), counted from `first`: sums of it over the pieces of an array are the array's.

    It is a sum over rows, modulo 2**64: an odd number that stands for the row, times the sum of the row's 32-bit words,
    each times an odd 64-bit number that stands for its place. So pieces may come in any order, a change within a word
    always changes it, and any other but for a chance of some 2**-32. Unlike CRC-32 it takes one call for many rows.
    """
    words = _words(rows)
    weights = _weights(words.shape[1] + 1)
    of_rows = np.einsum("ij,j->i", words, weights[1:]) + weights[:1]
    numbers = 2 * np.arange(first, first + len(rows), dtype=np.uint64) + 1
    return int((numbers * of_rows).sum(dtype=np.uint64))


def _words(rows: np.ndarray) -> np.ndarray:
    """Return the bytes of rows (r, w) as 32-bit numbers (r, n), with zeros behind rows that end between two."""
    octets = np.ascontiguousarray(rows).view(np.uint8)
    if missing := -octets.shape[1] % 4:
        octets = np.pad(octets, ((0, 0), (0, missing)))
    return octets.view(np.uint32)


@lru_cache(maxsize=100)
def _weights(count: int) -> np.ndarray:
    """Return odd 64-bit numbers (count,): the output of SplitMix64 (https://doi.org/10.1145/2660193.2660195)."""
    z: np.ndarray = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> 27)) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> 31)) | 1


def blocks_of(dataset: h5py.Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows (r, w) of a matrix or contacts in blocks, each with the number of its first row.

    Raises StoreError at the end, where the values are not those that were written.
    """
    total = 0
    rows = max(1, _BLOCK_BYTES // max(1, dataset.dtype.itemsize * dataset.shape[1]))
    for start in range(0, len(dataset), rows):
        block = dataset[start : start + rows]
        total += checksum(block, start)
        yield start, block
    if total % CHECKSUMS != dataset.attrs.get(CHECKSUM):
        raise StoreError(f"{dataset.file.filename}: {dataset.name} is damaged: its values do not have their checksum")


def read_checked(dataset: h5py.Dataset) -> np.ndarray:
    """Return a matrix or contacts, (r, w). Raises StoreError where the values are not those that were written."""
    found = np.empty(dataset.shape, dataset.dtype)
    for start, block in blocks_of(dataset):
        found[start : start + len(block)] = block
    return found


def is_sound(dataset: h5py.Dataset) -> bool:
    """Say whether a matrix or contacts hold the values that were written."""
    try:
        for _ in blocks_of(dataset):
            pass
    except StoreError:
        return False
    return True


def row_values(shard: h5py.File, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    """Return what a shard holds of rows (n,) besides matrices: counts, where they come from, and vectors."""
    return {name: shard[name][rows] for name in (*COUNTS, "device", "taken_over", *VECTORS) if name in shard}


def row_checksums(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the CRC-32 (n,) of each row of several arrays (n, ...)."""
    arrays = (np.ascontiguousarray(values[name]) for name in sorted(values))
    packed = [array.view(np.uint8).reshape(len(array), -1) for array in arrays]
    return np.array([zlib.crc32(row) for row in np.concatenate(packed, axis=1)], dtype=np.uint32)


def read_rows(shard: h5py.File, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    """Return `row_values`. Raises StoreError where they are not those that were written."""
    values = row_values(shard, rows)
    sound = row_checksums(values) == shard["checksums"][rows]
    if not sound.all():
        digest = shard["digests"].asstr()[rows][int(np.argmin(sound))]
        raise StoreError(f"{shard.filename}: damaged: the values of {digest} do not have their checksum")
    return values


def rows_of(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Return rows (n, H) in any order: neighbours are read at once, which most of a block of records are."""
    distinct, places = np.unique(rows, return_inverse=True)
    runs = np.split(distinct, np.flatnonzero(np.diff(distinct) != 1) + 1)
    return np.concatenate([dataset[run[0] : run[-1] + 1] for run in runs])[places]


def stored(values: np.ndarray, dtype: str, digests: Sequence[str]) -> np.ndarray:
    """Return values in the type they are stored in. Raises EmbeddingError where float16 cannot hold them."""
    with np.errstate(over="ignore"):
        cast = values.astype(dtype, copy=False)
    if dtype == "float16" and not np.isfinite(cast).all():
        raise EmbeddingError(
            f"float16 cannot hold the embeddings of {digests[0]}"
            + (f" or the {len(digests) - 1} sequences after it" if len(digests) > 1 else "")
            + f": the largest value is {np.abs(values).max():.3g}. Set embedding.dtype to float32."
        )
    return cast


def read_error(path: Path, error: OSError) -> StoreError:
    """Return what a failed read means: HDF5 gives a system error its number, and damage none."""
    if error.errno is not None:
        return UnreadableError(f"{path}: cannot be read now, and was left as it is ({error})")
    return StoreError(f"{path}: damaged or cut short ({error})")


def open_hdf5(path: Path, file_format: str, locking: bool | None = None) -> h5py.File:
    """Open a file of ours for reading. Raises StoreError for anything else.

    locking: whether HDF5 is to look for a writer's lock, which takes a file system that has locks; None: as it would.
    """
    try:
        file = h5py.File(path, "r", locking=locking)
    except FileNotFoundError as error:
        raise StoreError(f"{path}: missing") from error
    except OSError as error:
        raise read_error(path, error) from error
    found = file.attrs.get("format"), file.attrs.get("format_version")
    version = SHARD_FORMAT_VERSION if file_format == SHARD_FORMAT else EMBEDDINGS_FORMAT_VERSION
    if found != (file_format, version):
        file.close()
        raise StoreError(
            f"{path}: expected format {file_format} {version}, found {found[0]} {found[1]}. Delete it and run again."
        )
    return file


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
