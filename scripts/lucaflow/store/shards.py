"""How is a shard written so that an interrupted job can resume?

Every array gets its place in the file before anything is computed. The file has HDF5's oldest format, whose structure
carries no checksums. After that only values change, each in its place. So a file can be opened after an interruption at
any moment, its complete rows match their checksums, and the finished file has the same bytes after any number of
interruptions.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from lucaflow.errors import StoreError
from lucaflow.files.writing import publish, temporary_beside
from lucaflow.store.checksums import (
    checked_blocks,
    checksums_of_rows,
    matches_checksum,
    matrix_checksum,
    read_checked_rows,
    read_unchecked_rows,
    row_checksums,
)
from lucaflow.store.format import (
    BUDGET,
    BUDGET_DEVICE,
    BUDGET_HALVED,
    CHECKSUM_ATTRIBUTE,
    DEVICE_LENGTH,
    IDENTITY,
    SHARD_FORMAT,
    SPANS,
    ShardContent,
    cast_for_storage,
    create_empty_shard,
    open_hdf5,
)

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE = 1000
_SECONDS_BETWEEN_FLUSHES = 30


class ShardWriter:
    """Writes a shard: rows reused from other shards, and the results of a network, batch by batch.

    Existing rows at `path` are kept if their file has the same content and their checksums match. `complete` (n,) says
    which rows are complete, `reused` (n,) which of these come from other shards. Written rows are made durable every
    30 seconds. device: the name of the computing device, as recorded in the shard.
    """

    def __init__(self, path: Path, content: ShardContent, device: str = "") -> None:
        self.path = path
        self.content = content
        self.device = device

    def __enter__(self) -> Self:
        _create_unless_resumable(self.path, self.content)
        self._file = _open_unbuffered(self.path)
        self._matrices = _MatrixWriter(self._file, self.content.options.dtype)
        self._flushed = time.monotonic()
        self.complete = self._sound_rows()
        self.reused = self._file["taken_over"][:] & self.complete
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None and not self.complete.all():
            raise StoreError(
                f"{self.path} is incomplete: {self.complete.sum()} of {len(self.complete)} sequences were embedded"
            )

    def budget_for(self, requested: int | str) -> int | str:
        """Return the tokens per batch with which this job gets the values of the interrupted one, or `requested`.

        requested: `compute.tokens_per_batch`. For `auto`, what the same device was measured to take; and never more
        than what its memory was found too small for.
        """
        recorded, halved = int(self._file.attrs[BUDGET]), bool(self._file.attrs.get(BUDGET_HALVED, 0))
        if self._file.attrs[BUDGET_DEVICE] != self._device or not recorded:
            return requested
        if requested == "auto":
            return recorded
        return min(int(requested), recorded) if halved else requested

    def record_budget(self, tokens: int, *, halved: bool = False) -> None:
        """Record the tokens per batch on this device. halved: whether memory was too small for more."""
        same = self._file.attrs[BUDGET_DEVICE] == self._device
        halved = halved or (same and bool(self._file.attrs.get(BUDGET_HALVED, 0)))
        self._file.attrs.modify(BUDGET, np.int64(tokens))
        self._file.attrs.modify(BUDGET_DEVICE, self._device)
        self._file.attrs.modify(BUDGET_HALVED, np.int64(halved))

    @property
    def _device(self) -> np.bytes_:
        return np.bytes_(self.device.encode()[:DEVICE_LENGTH])

    def write(self, batches: Iterable[Any], rows: np.ndarray | None = None) -> None:
        """Write batches of the engine (`engine.pooling.EmbeddedBatch`). rows: (n,) the shard's row of each sequence."""
        digests, options = self.content.digests, self.content.options
        rows = np.arange(len(digests)) if rows is None else rows
        for batch in batches:
            if batch.halved_to is not None:
                self._begin_with(batch.halved_to)
            for piece in batch.pieces:
                self._matrices.write(piece, digests[rows[piece.sequence]])
            here = rows[batch.sequences]
            if len(here):
                values = {
                    "residues_embedded": batch.residues_embedded,
                    "windows": batch.windows,
                    "device": np.full(len(here), self._device, dtype=f"S{DEVICE_LENGTH}"),
                }
                batch_digests = [digests[row] for row in here]
                values |= {
                    name: cast_for_storage(batch.vectors[name], options.dtype, batch_digests)
                    for name in options.vectors
                }
                self._write_rows(here, values, reused=False)
            if time.monotonic() - self._flushed >= _SECONDS_BETWEEN_FLUSHES:
                self.make_durable()

    def _begin_with(self, tokens: int) -> None:
        """Record a halved number of tokens per batch, after the rows of larger batches and before those of smaller."""
        self.make_durable()
        self.record_budget(tokens, halved=True)
        self.make_durable()
        self._matrices.forget_unfinished()

    def reuse_rows(self, shard: h5py.File, here: np.ndarray, there: np.ndarray) -> None:
        """Copy rows `there` (n,) of another shard with the same fingerprint to rows `here` (n,); check their checksums.

        here: in increasing order. Raise the error of reading a damaged shard; the rows before the damage are kept.
        """
        for start in range(0, len(here), _ROWS_AT_ONCE):
            block, source_rows = here[start : start + _ROWS_AT_ONCE], there[start : start + _ROWS_AT_ONCE]
            for digest in (self.content.digests[row] for row in block):
                for name in self.content.arrays:
                    source, copied = shard[f"{name}/{digest}"], self._file[f"{name}/{digest}"]
                    for first, rows in checked_blocks(source):
                        copied[first : first + len(rows)] = rows
                    copied.attrs.modify(CHECKSUM_ATTRIBUTE, source.attrs[CHECKSUM_ATTRIBUTE])
            order = np.argsort(source_rows)
            values = read_checked_rows(shard, source_rows[order])
            back = np.argsort(order)
            written = {name: found[back] for name, found in values.items() if name not in IDENTITY}
            self._write_rows(block, written, reused=True)

    def make_durable(self) -> None:
        """Flush everything written so far to the disk."""
        self._file.flush()
        os.fsync(self._file.id.get_vfd_handle())
        self._flushed = time.monotonic()

    def _sound_rows(self) -> np.ndarray:
        """Read all existing rows; return which ones (n,) are complete and match their checksums."""
        sound = np.zeros(len(self.content.digests), dtype=bool)
        for start in range(0, len(sound), _ROWS_AT_ONCE):
            block = np.s_[start : start + _ROWS_AT_ONCE]
            recorded = self._file["checksums"][block]
            if recorded.any():
                found = row_checksums(read_unchecked_rows(self._file, block))
                # A row without a checksum was never written.
                sound[block] = (found == recorded) & (recorded != 0)
        for row in np.flatnonzero(sound).tolist():
            arrays = (self._file[f"{name}/{self.content.digests[row]}"] for name in self.content.arrays)
            sound[row] = all(matches_checksum(array) for array in arrays)
        return sound

    def _write_rows(self, here: np.ndarray, values: Mapping[str, np.ndarray], *, reused: bool) -> None:
        """Write rows `here` (n,), in increasing order, and then their checksums, which mark them as complete."""
        selection = _slice_if_contiguous(here)
        values = {**values, "taken_over": np.full(len(here), reused)}
        for name, found in values.items():
            self._file[name][selection] = found
        identity = {name: found[here] for name, found in self.content.identity.items()}
        self._file["checksums"][selection] = row_checksums({**identity, **values})
        self.reused[here] = reused
        self.complete[here] = True


def _create_unless_resumable(path: Path, content: ShardContent) -> None:
    """Create an empty shard at `path`, unless a job can resume with the file that is there."""
    with temporary_beside(path) as empty:
        create_empty_shard(empty, content)
        if not (path.exists() and _is_resumable(path, empty)):
            publish(empty, path, mode=0o600)


def _open_unbuffered(path: Path) -> h5py.File:
    """Open a file for writing without buffers, so that written values survive the end of this process.

    The job's own lock decides who may write; HDF5's lock needs a file system with locks.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_file_locking(False, True)
    access.set_sieve_buf_size(0)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDWR, fapl=access))


def _is_resumable(path: Path, empty: Path) -> bool:
    """Return whether a file has the same sequences and structure, including array offsets, as an empty shard."""
    try:
        with open_hdf5(path, SHARD_FORMAT, locking=False) as file, open_hdf5(empty, SHARD_FORMAT, locking=False) as new:
            if _structure(file) == _structure(new) and all(
                np.array_equal(file[name][:], new[name][:]) for name in IDENTITY
            ):
                return True
            problem: Exception | str = "its sequences, options or checkpoint differ"
    except (StoreError, OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        problem = error
    logger.warning("Cannot reuse %s (%s); its sequences will be embedded again.", path, problem)
    return False


def _structure(file: h5py.File) -> dict[str, tuple[Any, ...]]:
    """Return the attributes of a file, and the type, shape, offset and attributes' types of each array."""
    found: dict[str, tuple[Any, ...]] = {
        name: (value,) for name, value in file.attrs.items() if name not in (BUDGET, BUDGET_DEVICE, BUDGET_HALVED)
    }

    def add_array(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            attributes = [(key, item.attrs.get_id(key).dtype, item.attrs.get_id(key).shape) for key in item.attrs]
            found[name] = item.dtype, item.shape, item.id.get_offset(), attributes

    file.visititems(add_array)
    return found


def _slice_if_contiguous(rows: np.ndarray) -> slice | np.ndarray:
    """Return increasing rows as a slice, with which HDF5 is faster, if they are contiguous."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows


@dataclass
class _UnfinishedMatrix:
    """A matrix or contacts, the CRC-32s (r,) of its written rows, and the number of rows to be written."""

    dataset: h5py.Dataset
    row_crcs: np.ndarray
    missing: int


class _MatrixWriter:
    """Writes matrices and contacts piece by piece, in any order, and the checksum of each after its last piece."""

    def __init__(self, file: h5py.File, dtype: str) -> None:
        self.file = file
        self.dtype = dtype
        self._unfinished: dict[str, _UnfinishedMatrix] = {}

    def forget_unfinished(self) -> None:
        """Begin anew with matrices that are not complete."""
        self._unfinished.clear()

    def write(self, piece: Any, digest: str) -> None:
        """Write a piece (`lucaflow.engine.pooling.Piece`) of the sequence with this digest."""
        values = piece.rows if piece.output == SPANS else cast_for_storage(piece.rows, self.dtype, [digest])
        name = f"{piece.output}/{digest}"
        if (matrix := self._unfinished.get(name)) is None:
            row_crcs = np.zeros(piece.total_rows, dtype=np.uint32)
            matrix = self._unfinished[name] = _UnfinishedMatrix(self.file[name], row_crcs, piece.total_rows)
        rows = slice(piece.start_row, piece.start_row + len(values))
        matrix.dataset[rows] = values
        matrix.row_crcs[rows] = checksums_of_rows(values)
        matrix.missing -= len(values)
        if not matrix.missing:
            matrix.dataset.attrs.modify(CHECKSUM_ATTRIBUTE, matrix_checksum(matrix.row_crcs))
            del self._unfinished[name]
