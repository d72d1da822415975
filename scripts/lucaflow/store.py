"""The HDF5 files: what a shard holds, what embeddings.h5 holds, and how to open it.

A shard holds the arrays of its sequences, the longest sequence first. embeddings.h5 holds the packed vectors of a
dataset, and links to the matrices in the shards. There vectors are guarded by HDF5's own
checksums; matrices, which are many times larger, lie as they are and carry a faster checksum in an attribute.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import pandas as pd

from lucaflow.errors import EmbeddingError, StoreError, UnreadableError
from lucaflow.settings import FORMAT_VERSION, VECTORS, EmbeddingOptions

FORMAT = "lucaflow-embeddings"
SHARD_FORMAT = "lucaflow-shard"
PER_SEQUENCE = ("lengths", "residues_embedded", "windows")
_COUNTS = ("residues_embedded", "windows")
CHECKSUM = "checksum"
_CHECKSUMS = 1 << 64
_CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 24
_ROWS_AT_ONCE = 1000


def key_of(identifier: str) -> str:
    """Return the name under which an id's matrix is linked: the id, as far as HDF5 allows it."""
    key = identifier.replace("%", "%25").replace("/", "%2F")
    return "%2E" if key == "." else key


def id_of(key: str) -> str:
    """Return the id that a link's name stands for."""
    return key.replace("%2E", ".").replace("%2F", "/").replace("%25", "%")


def shard_attributes(
    options: EmbeddingOptions, checkpoint_sha256: str, hidden_size: int, device: str
) -> dict[str, Any]:
    """Return what a shard says of itself, the device that computed it among it."""
    return {
        "device": device,
        "fingerprint": options.fingerprint(checkpoint_sha256),
        "checkpoint_sha256": checkpoint_sha256,
        "options": json.dumps(options.deciding(), sort_keys=True),
        "hidden_size": hidden_size,
    }


class ShardWriter:
    """Writes a shard: rows taken over from others, and the results of a network, batch by batch as they come."""

    def __init__(
        self,
        path: Path,
        attributes: Mapping[str, Any],
        digests: Sequence[str],
        lengths: Sequence[int],
        options: EmbeddingOptions,
        hidden_size: int,
    ) -> None:
        self.path = path
        self.digests = digests
        self.options = options
        self.attributes = attributes
        self.taken_over = np.zeros(len(digests), dtype=bool)
        self._lengths = np.array(lengths, dtype=np.int64)
        self._hidden_size = hidden_size
        self._done = np.zeros(len(digests), dtype=bool)

    def __enter__(self) -> Self:
        count = len(self.digests)
        self._file = h5py.File(self.path, "w")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checksums")
        self._matrices = _Matrices(self._file, self.options.dtype, self._thread)
        self._file.attrs.update({"format": SHARD_FORMAT, "format_version": FORMAT_VERSION, **self.attributes})
        self._file["digests"] = np.array(self.digests, dtype="S64")
        self._file["lengths"] = self._lengths
        shape = (count, self._hidden_size)
        self._rows = {name: self._file.create_dataset(name, (count,), np.int64) for name in _COUNTS}
        self._rows |= {
            name: self._file.create_dataset(name, shape, self.options.dtype, chunks=_chunks(*shape), fletcher32=True)
            for name in self.options.vectors
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        if kind is None:
            self._file["taken_over"] = self.taken_over
        self._file.close()
        if kind is None and not self._done.all():
            raise StoreError(f"{self.path}: {self._done.sum()} of {len(self._done)} sequences were embedded")

    def write(self, batches: Iterable[Any], rows: np.ndarray | None = None) -> None:
        """Write results of the engine (`lucaflow.engine.EmbeddedBatch`). rows: (n,) the shard's rows they are for."""
        rows = np.arange(len(self.digests)) if rows is None else rows
        for batch in batches:
            for piece in batch.pieces:
                self._matrices.add(piece, self.digests[rows[piece.sequence]])
            self._matrices.complete(batch.stop)
            if batch.stop > batch.start:
                here = _as_slice(rows[batch.start : batch.stop])
                self._rows["residues_embedded"][here] = batch.residues_embedded
                self._rows["windows"][here] = batch.windows
                first = rows[batch.start]
                for name in self.options.vectors:
                    values = stored(
                        batch.vectors[name], self.options.dtype, self.digests[first : rows[batch.stop - 1] + 1]
                    )
                    self._rows[name][here] = values
                self._done[here] = True

    def take_over(self, shard: h5py.File, here: np.ndarray, there: np.ndarray) -> None:
        """Copy rows (n,) of another shard of the same fingerprint; their checksums are compared on the way.

        here: in increasing order. Raises what reading a damaged shard raises; then none of them counts as there.
        """
        arrays = [f"{name}/{self.digests[row]}" for row in here for name in self.options.linked]
        try:
            for array in arrays:
                copied = self._file.create_dataset(array, data=read_checked(shard[array]))
                copied.attrs[CHECKSUM] = shard[array].attrs[CHECKSUM]
        except Exception:
            for array in arrays:
                self._file.pop(array, None)
            raise
        for start in range(0, len(here), _ROWS_AT_ONCE):
            block, source_rows = here[start : start + _ROWS_AT_ONCE], there[start : start + _ROWS_AT_ONCE]
            order = np.argsort(source_rows)
            back = np.argsort(order)
            for name, dataset in self._rows.items():
                dataset[block] = shard[name][source_rows[order]][back]
        self._done[here] = self.taken_over[here] = True


def _as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """Return increasing rows as a slice, which HDF5 is faster with, if nothing is between them."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows


class _Matrices:
    """Writes matrices and contacts piece by piece, and computes their checksums in another thread meanwhile."""

    def __init__(self, file: h5py.File, dtype: str, thread: Executor) -> None:
        self.file = file
        self.dtype = dtype
        self.thread = thread
        self._open: dict[tuple[int, str], tuple[h5py.Dataset, int]] = {}

    def add(self, piece: Any, digest: str) -> None:
        """Write a piece (`lucaflow.pooling.Piece`) of the sequence with a digest."""
        values = stored(piece.rows, self.dtype, [digest])
        added = self.thread.submit(checksum, values, piece.start_row)
        key = piece.sequence, piece.output
        if key in self._open:
            dataset, total = self._open[key]
        else:
            shape = (piece.total_rows, values.shape[1])
            dataset = self.file.create_dataset(f"{piece.output}/{digest}", shape, self.dtype, fill_time="never")
            total = 0
        dataset[piece.start_row : piece.start_row + len(values)] = values
        self._open[key] = dataset, total + added.result()

    def complete(self, stop: int) -> None:
        """Write the checksums of sequences before `stop`, whose pieces have all come."""
        for key in [key for key in self._open if key[0] < stop]:
            dataset, total = self._open.pop(key)
            dataset.attrs[CHECKSUM] = np.uint64(total % _CHECKSUMS)


def checksum(rows: np.ndarray, first: int) -> int:
    """Return the sum of the CRC-32 of rows (r, w), each times the row's number, counted from 1 and so from `first` + 1.

    So rows may come in any order, and in any pieces; a changed, exchanged or missing row changes the sum.
    """
    numbered = enumerate(np.ascontiguousarray(rows), first + 1)
    return sum(number * zlib.crc32(row) for number, row in numbered) % _CHECKSUMS


def read_checked(dataset: h5py.Dataset) -> np.ndarray:
    """Return a matrix or contacts, (r, w). Raises StoreError where the values are not those that were written."""
    found = np.empty(dataset.shape, dataset.dtype)
    total = 0
    rows = max(1, _BLOCK_BYTES // max(1, found[:1].nbytes))
    for start in range(0, len(found), rows):
        block = found[start : start + rows]
        dataset.read_direct(block, np.s_[start : start + rows])
        total += checksum(block, start)
    if total % _CHECKSUMS != dataset.attrs.get(CHECKSUM):
        raise StoreError(f"{dataset.file.filename}: {dataset.name} is damaged: its values do not have their checksum")
    return found


def _chunks(rows: int, width: int) -> tuple[int, int]:
    return (min(rows, max(1, _CHUNK_BYTES // (4 * width))), width)


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


def open_hdf5(path: Path, file_format: str) -> h5py.File:
    """Open a file of ours for reading. Raises StoreError for anything else."""
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError as error:
        raise StoreError(f"{path}: missing") from error
    except OSError as error:
        raise read_error(path, error) from error
    found = file.attrs.get("format"), file.attrs.get("format_version")
    if found != (file_format, FORMAT_VERSION):
        file.close()
        raise StoreError(f"{path}: expected format {file_format} {FORMAT_VERSION}, found {found[0]} {found[1]}")
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
        """Return one output of an id. Raises KeyError for an id that is not there."""
        row = self._rows[identifier]
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
        vectors = [name for name in self.outputs if name in VECTORS]
        if output not in (vectors if output else [None]) or not vectors:
            raise StoreError(f"{self.path} holds no vectors {output or ''}; it holds {', '.join(self.outputs)}")
        values = self.file[output or vectors[0]][:]
        return pd.DataFrame(values[self.file["sequence"][:]], index=pd.Index(self.ids, name="id"))

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
