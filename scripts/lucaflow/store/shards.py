"""A shard's file while it is written: laid out at once, filled batch by batch, and gone on with after a crash.

Every array gets its place in the file before anything is computed, in HDF5's oldest format, in which no part of the
structure carries a checksum. From then on nothing but values changes, each in its place. So a file that was cut off at
any moment can be opened, what is complete in it has its checksum, and it ends in the same bytes however often that was.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from lucaflow.encoders.vocabulary import CLS_AND_SEP
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError
from lucaflow.files.writing import publish, temporary_beside
from lucaflow.store.checksums import (
    CHECKSUM,
    CHECKSUMS,
    blocks_of,
    checksum,
    is_sound,
    read_rows,
    row_checksums,
    row_values,
)
from lucaflow.store.format import COUNTS, SHARD_FORMAT, open_hdf5, stored
from lucaflow.versions import SHARD_FORMAT_VERSION

logger = logging.getLogger(__name__)

DEVICE_LENGTH = 64
BUDGET, BUDGET_DEVICE = "tokens_per_batch", "tokens_per_batch_on"
_ROWS_AT_ONCE = 1000
_SECONDS_BETWEEN_FLUSHES = 30


@dataclass(frozen=True)
class ShardContent:
    """What a shard is to hold: which sequences, the longest first, with which options, from which checkpoint."""

    digests: Sequence[str]
    lengths: Sequence[int]
    options: EmbeddingOptions
    checkpoint_sha256: str
    hidden_size: int

    @property
    def attributes(self) -> dict[str, Any]:
        """Return what a shard says of itself."""
        return {
            "format": SHARD_FORMAT,
            "format_version": SHARD_FORMAT_VERSION,
            "fingerprint": self.options.fingerprint(self.checkpoint_sha256),
            "checkpoint_sha256": self.checkpoint_sha256,
            "options": self.options.to_attribute(),
            "hidden_size": self.hidden_size,
        }

    def shapes(self, output: str) -> np.ndarray:
        """Return the shapes (n, 2) of each sequence's `matrix` or `contacts`."""
        residues, _ = self.options.windowing.counts(np.array(self.lengths, dtype=np.int64))
        if output == "contacts":
            return np.stack([residues, residues], axis=1)
        rows = residues + CLS_AND_SEP * self.options.matrix_add_special_token
        return np.stack([rows, np.full_like(rows, self.hidden_size)], axis=1)


class ShardWriter:
    """Writes a shard: rows taken over from others, and the results of a network, batch by batch as they come.

    What a file at `path` already has of the same content is kept where its checksums are right: `complete` (n,) says
    which rows. Every 30 seconds what was written is made durable. `device` is what computes, as it is recorded.
    """

    def __init__(self, path: Path, content: ShardContent, device: str = "") -> None:
        self.path = path
        self.content = content
        self.device = device

    def __enter__(self) -> Self:
        _prepare(self.path, self.content)
        self._file = _open_unbuffered(self.path)
        self._matrices = _Matrices(self._file, self.content.options.dtype)
        self._flushed = time.monotonic()
        self.complete = self._sound_rows()
        self.taken_over = self._file["taken_over"][:] & self.complete
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None and not self.complete.all():
            raise StoreError(f"{self.path}: {self.complete.sum()} of {len(self.complete)} sequences were embedded")

    @property
    def measured_budget(self) -> int | None:
        """How many tokens went through the network at once so far, if that was measured on the same device."""
        same = self._file.attrs[BUDGET_DEVICE] == self._device
        return int(self._file.attrs[BUDGET]) if same else None

    @measured_budget.setter
    def measured_budget(self, tokens: int) -> None:
        self._file.attrs.modify(BUDGET, np.int64(tokens))
        self._file.attrs.modify(BUDGET_DEVICE, self._device)

    @property
    def _device(self) -> np.bytes_:
        return np.bytes_(self.device.encode()[:DEVICE_LENGTH])

    def write(self, batches: Iterable[Any], rows: np.ndarray | None = None) -> None:
        """Write results of the engine (`engine.pooling.EmbeddedBatch`). rows: (n,) the shard's rows they are for."""
        digests, options = self.content.digests, self.content.options
        rows = np.arange(len(digests)) if rows is None else rows
        for batch in batches:
            for piece in batch.pieces:
                self._matrices.add(piece, digests[rows[piece.sequence]])
            here = rows[batch.sequences]
            if len(here):
                self._matrices.complete(batch.sequences[-1])
                values = {
                    "residues_embedded": batch.residues_embedded,
                    "windows": batch.windows,
                    "device": np.full(len(here), self._device, dtype=f"S{DEVICE_LENGTH}"),
                }
                of_these = [digests[row] for row in here]
                values |= {name: stored(batch.vectors[name], options.dtype, of_these) for name in options.vectors}
                self._write_rows(here, values, taken_over=False)
            if time.monotonic() - self._flushed >= _SECONDS_BETWEEN_FLUSHES:
                self.make_durable()

    def take_over(self, shard: h5py.File, here: np.ndarray, there: np.ndarray) -> None:
        """Copy rows (n,) of another shard of the same fingerprint; their checksums are compared on the way.

        here: in increasing order. Raises what reading a damaged shard raises; rows before it are kept.
        """
        for start in range(0, len(here), _ROWS_AT_ONCE):
            block, source_rows = here[start : start + _ROWS_AT_ONCE], there[start : start + _ROWS_AT_ONCE]
            for digest in (self.content.digests[row] for row in block):
                for name in self.content.options.linked:
                    source, copied = shard[f"{name}/{digest}"], self._file[f"{name}/{digest}"]
                    for first, rows in blocks_of(source):
                        copied[first : first + len(rows)] = rows
                    copied.attrs.modify(CHECKSUM, source.attrs[CHECKSUM])
            order = np.argsort(source_rows)
            values = read_rows(shard, source_rows[order])
            back = np.argsort(order)
            self._write_rows(block, {name: found[back] for name, found in values.items()}, taken_over=True)

    def make_durable(self) -> None:
        """Bring everything that was written to the disk."""
        self._file.flush()
        os.fsync(self._file.id.get_vfd_handle())
        self._flushed = time.monotonic()

    def _sound_rows(self) -> np.ndarray:
        """Return which rows (n,) are complete and unharmed, by reading all that is there."""
        sound = np.zeros(len(self.content.digests), dtype=bool)
        for start in range(0, len(sound), _ROWS_AT_ONCE):
            block = np.s_[start : start + _ROWS_AT_ONCE]
            stated = self._file["checksums"][block]
            if stated.any():
                sound[block] = row_checksums(row_values(self._file, block)) == stated
        for row in np.flatnonzero(sound).tolist():
            arrays = (self._file[f"{name}/{self.content.digests[row]}"] for name in self.content.options.linked)
            sound[row] = all(is_sound(array) for array in arrays)
        return sound

    def _write_rows(self, here: np.ndarray, values: Mapping[str, np.ndarray], *, taken_over: bool) -> None:
        """Write rows (n,), in increasing order, and last their checksums, which make them count."""
        where = _as_slice(here)
        values = {**values, "taken_over": np.full(len(here), taken_over)}
        for name, found in values.items():
            self._file[name][where] = found
        self._file["checksums"][where] = row_checksums(values)
        self.taken_over[here] = taken_over
        self.complete[here] = True


def _prepare(path: Path, content: ShardContent) -> None:
    """Make a shard's file with the place of every array and no values, unless there is one to go on with."""
    with temporary_beside(path) as empty:
        _lay_out(empty, content)
        if not (path.exists() and _is_of_use(path, empty)):
            publish(empty, path, mode=0o600)


def _lay_out(path: Path, content: ShardContent) -> None:
    """Write a shard's file without values."""
    places = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    places.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    count, dtype = len(content.digests), content.options.dtype
    with h5py.File(path, "w", libver="earliest", locking=False) as file:
        file.attrs.update({**content.attributes, BUDGET: np.int64(0), BUDGET_DEVICE: np.zeros((), f"S{DEVICE_LENGTH}")})
        file["digests"] = np.array(content.digests, dtype="S64")
        file["lengths"] = np.array(content.lengths, dtype=np.int64)
        for name in COUNTS:
            file[name] = np.zeros(count, dtype=np.int64)
        file["device"] = np.zeros(count, dtype=f"S{DEVICE_LENGTH}")
        file["taken_over"] = np.zeros(count, dtype=np.bool_)
        file["checksums"] = np.zeros(count, dtype=np.uint32)
        # What is not written is a hole in the file: no place on the disk, and zeros to readers.
        for name in content.options.vectors:
            file.create_dataset(name, (count, content.hidden_size), dtype, dcpl=places, fill_time="never")
        for name in content.options.linked:
            group = file.create_group(name)
            for digest, shape in zip(content.digests, content.shapes(name).tolist(), strict=True):
                array = group.create_dataset(digest, tuple(shape), dtype, dcpl=places, fill_time="never")
                array.attrs[CHECKSUM] = np.uint64(0)


def _open_unbuffered(path: Path) -> h5py.File:
    """Open a file so that what is written leaves this process at once, and outlives it.

    Who may write is settled by the job's own lock; HDF5's needs a file system that has locks.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_file_locking(False, True)
    access.set_sieve_buf_size(0)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDWR, fapl=access))


def _is_of_use(path: Path, empty: Path) -> bool:
    """Say whether a file has the same structure, down to the places, and is of the same content as an empty one."""
    try:
        with open_hdf5(path, SHARD_FORMAT, locking=False) as file, open_hdf5(empty, SHARD_FORMAT, locking=False) as new:
            if _structure(file) == _structure(new) and all(
                np.array_equal(file[name][:], new[name][:]) for name in ("digests", "lengths")
            ):
                return True
            problem: Exception | str = "it is of something else"
    except (StoreError, OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        problem = error
    logger.warning("%s is of no use, and what it has is computed again (%s)", path, problem)
    return False


def _structure(file: h5py.File) -> dict[str, tuple[Any, ...]]:
    """Return what a file says of itself, and the type, shape and place of each of its arrays."""
    found: dict[str, tuple[Any, ...]] = {
        name: (value,) for name, value in file.attrs.items() if name not in (BUDGET, BUDGET_DEVICE)
    }

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            attributes = [(key, item.attrs.get_id(key).dtype, item.attrs.get_id(key).shape) for key in item.attrs]
            found[name] = item.dtype, item.shape, item.id.get_offset(), attributes

    file.visititems(note)
    return found


def _as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """Return increasing rows as a slice, which HDF5 is faster with, if nothing is between them."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows


class _Matrices:
    """Writes matrices and contacts piece by piece, and in the end their checksums."""

    def __init__(self, file: h5py.File, dtype: str) -> None:
        self.file = file
        self.dtype = dtype
        self._open: dict[tuple[int, str], tuple[h5py.Dataset, int]] = {}

    def add(self, piece: Any, digest: str) -> None:
        """Write a piece (`lucaflow.engine.pooling.Piece`) of the sequence with a digest."""
        values = stored(piece.rows, self.dtype, [digest])
        key = piece.sequence, piece.output
        dataset, total = self._open.get(key) or (self.file[f"{piece.output}/{digest}"], 0)
        dataset[piece.start_row : piece.start_row + len(values)] = values
        self._open[key] = dataset, total + checksum(values, piece.start_row)

    def complete(self, last: int) -> None:
        """Write the checksums of sequences up to `last`, whose pieces have all come."""
        for key in [key for key in self._open if key[0] <= last]:
            dataset, total = self._open.pop(key)
            dataset.attrs.modify(CHECKSUM, np.uint64(total % CHECKSUMS))
