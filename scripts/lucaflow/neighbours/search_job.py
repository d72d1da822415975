"""Search the neighbours of sequences in jobs that can be divided, interrupted and repeated.

What is found is in a folder whose name says the reference, the kind of vectors and k. A file there has the neighbours
of the sequences of a shard, and its name says which. Neighbours of sequences that another file has are reused.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from lucaflow.errors import StoreError
from lucaflow.files.locks import locked
from lucaflow.files.space import is_full_disk
from lucaflow.files.writing import replacing
from lucaflow.neighbours.approximate import GRAPH_NAME, Graph
from lucaflow.neighbours.products import Products
from lucaflow.neighbours.search import NONE, Neighbours, Reference, rank_of, rows_at_once, search
from lucaflow.progress import Progress
from lucaflow.records.sharding import FINGERPRINT_NAMES, SHARD_NAMES, shard_name
from lucaflow.store.format import EMBEDDINGS_FORMAT, open_hdf5

logger = logging.getLogger(__name__)

# Seconds after which the state of a search is saved, and to wait for another job that does the same work.
_SAVED_EVERY, _LOCK_TIMEOUT = 30, 600
_BY_GRAPH_AT_ONCE = 16_384
_BLOCK_NAMES = f".*.{SHARD_NAMES}.block"
_PATTERNS = (f"{SHARD_NAMES}.h5", _BLOCK_NAMES, ".*.lock", GRAPH_NAME)


@dataclass(frozen=True)
class Source:
    """The vectors of a dataset, and the digests (U,) S64 of the sequences that they belong to."""

    vectors: h5py.Dataset
    digests: np.ndarray
    order: np.ndarray = field(repr=False)

    @classmethod
    @contextmanager
    def opened(cls, embeddings: Path, vector: str) -> Iterator[Source]:
        """Open the vectors in embeddings.h5. vector: mean, max or cls. Raises StoreError for another file."""
        with open_hdf5(embeddings, EMBEDDINGS_FORMAT) as file:
            digests = file["digests"][:]
            yield cls(file[vector], digests, np.argsort(digests))

    def rows_of(self, digests: np.ndarray) -> np.ndarray:
        """Return the row (n,) of each sequence by its digest (n,), -1 for one that is not there."""
        found = self.order[np.minimum(np.searchsorted(self.digests, digests, sorter=self.order), len(self.order) - 1)]
        return np.where(self.digests[found] == digests, found, -1)

    @property
    def rank(self) -> np.ndarray:
        """The place (U,) of each row in the order of digests, which is that of equally similar neighbours."""
        return rank_of(self.order)


def digests_of(shard: np.ndarray) -> np.ndarray:
    """Return the digests (n,) S64 of a shard's sequences. shard: (n, 4) integers, as `index_sequences` returns them."""
    text = shard.astype(">u8").tobytes().hex().encode()
    return np.frombuffer(text, dtype="S64")


def name_of(digests: np.ndarray) -> str:
    """Return the name of a shard of sequences by their digests (n,) S64."""
    return shard_name(np.frombuffer(bytes.fromhex(b"".join(digests).decode()), dtype=">u8").reshape(-1, 4))


@dataclass(frozen=True)
class SearchJob:
    """Searches the k nearest neighbours of sequences in a reference.

    folder: of the results; name: of the job, by which the files that it goes on with are found again; reference: the
    sequences that are searched; load: prepares the device that computes, if there is anything to compute;
    threads_of_graph: of an approximate search, None for the exact one.
    """

    folder: Path
    name: str
    reference: Source
    k: int
    load: Callable[[], Products]
    threads_of_graph: int | None = None

    @cached_property
    def products(self) -> Products:
        return self.load()

    @cached_property
    def _state_of_reference(self) -> bytes:
        """What a search that goes on must find again: the reference, in the same order."""
        return hashlib.sha256(self.reference.digests.tobytes()).digest()

    def run(self, source: Source, wanted: Mapping[str, np.ndarray]) -> None:
        """Write a file for each shard that has none. wanted: digests (n,) of the sequences by the shard's name.

        source: has their vectors. A search that was interrupted resumes from at most 30 seconds before. Files
        of blocks stay until `remove_older`: Snakemake may remove the file of a shard if a run is killed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self.folder / f".{self.name}.lock"
        with locked(lock, f"searching neighbours ({self.name})", required=False, timeout=_LOCK_TIMEOUT):
            missing = {name: digests for name, digests in wanted.items() if self.read(self.file_of(name)) is None}
            if not missing:
                logger.info("all neighbours were found before")
                return
            digests = np.concatenate([*missing.values()])
            keys, is_known = self._known(digests)
            unknown = np.flatnonzero(~is_known)
            if is_known.any():
                logger.info("neighbours of %d of %d sequences were found before", is_known.sum(), len(digests))
            for places, found in self._searched(source, digests, unknown):
                keys[places] = found
            start = 0
            for name, of_shard in missing.items():
                self._write(self.file_of(name), of_shard, keys[start : start + len(of_shard)])
                start += len(of_shard)

    def read(self, path: Path, finished: bool = True) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Return the digests (n,) and keys (n, k) in a file, and the first row of the reference that they lack.

        Return None if the file is missing, or damaged, which is said; or not finished, if that is asked for.
        """
        try:
            with h5py.File(path, "r", locking=False) as file:
                searched = int(file.attrs["searched"])
                if finished and searched < len(self.reference.digests):
                    return None
                return file["digests"][:], file["keys"][:], searched
        except FileNotFoundError:
            return None
        except (OSError, KeyError, RuntimeError) as error:
            if is_full_disk(error):
                raise
            logger.warning("Cannot use %s (%s); its neighbours are searched again.", path, error)
            return None

    def file_of(self, shard: str) -> Path:
        """Return the path of the neighbours of a shard."""
        return self.folder / f"{shard}.h5"

    def gathered(self, digests: np.ndarray, shards: Iterable[str]) -> Neighbours:
        """Return the neighbours (n, k) of sequences by their rows, from the files of shards.

        digests: (n,) of the sequences. Raises StoreError if the files lack some.
        """
        shape = len(digests), self.k
        rows, similarity = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.float32)
        seen, order = np.zeros(len(digests), dtype=bool), np.argsort(digests)
        reference = Reference(self.reference.vectors, np.zeros(0), self.reference.rank)
        for shard in shards:
            if found := self.read(self.file_of(shard)):
                places = order[np.searchsorted(digests, found[0], sorter=order)]
                neighbours = reference.neighbours(found[1])
                rows[places], similarity[places], seen[places] = neighbours.rows, neighbours.similarity, True
        if not seen.all():
            raise StoreError(f"{self.folder}: its files lack neighbours of {(~seen).sum()} sequences. Run again.")
        return Neighbours(rows, similarity)

    def _known(self, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the neighbours (n, k) of sequences that other files have, and which these are (n,)."""
        keys, is_known = np.full((len(digests), self.k), NONE), np.zeros(len(digests), dtype=bool)
        for pattern in (f"{SHARD_NAMES}.h5", _BLOCK_NAMES):
            for path in sorted(self.folder.glob(pattern)):
                if found := self.read(path):
                    _, here, there = np.intersect1d(digests, found[0], return_indices=True)
                    keys[here], is_known[here] = found[1][there], True
        return keys, is_known

    def _searched(
        self, source: Source, digests: np.ndarray, unknown: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Search block by block; yield the places (n,) in digests, and their neighbours (n, k). unknown: places."""
        if not len(unknown):
            return
        rows = source.rows_of(digests[unknown])
        if (rows < 0).any():
            raise StoreError(f"{source.vectors.file.filename}: it lacks sequences of the dataset. Run again.")
        unknown = unknown[np.argsort(rows)]
        reference = Reference.of(self.reference.vectors, self.reference.rank)
        if self.threads_of_graph:
            yield from self._by_graph(source, digests, unknown, reference, self.threads_of_graph)
            return
        step = rows_at_once(self.reference.vectors.shape[1], self.k, self.products)
        width, total = self.reference.vectors.shape[1], len(self.reference.digests)
        logger.info(
            "searching %d sequences in %d, %d numbers each, on %s", len(unknown), total, width, self.products.device
        )
        pairs = len(unknown) * total
        with Progress(total=pairs, unit=" pairs", desc="neighbours") as progress:
            started = time.process_time()
            for start in range(0, len(unknown), step):
                places = unknown[start : start + step]
                yield places, self._block(source, digests[places], reference, progress)
        seconds = time.process_time() - started
        logger.info("%d pairs in %.1f s of processor time: %.3g a second", pairs, seconds, pairs / max(seconds, 1e-9))

    def _by_graph(
        self, source: Source, digests: np.ndarray, unknown: np.ndarray, reference: Reference, threads: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Search approximately, as `_searched` does exactly."""
        graph = Graph(self.folder / GRAPH_NAME, reference, threads)
        logger.info("searching %d sequences in %d approximately, on cpu", len(unknown), len(self.reference.digests))
        for start in range(0, len(unknown), _BY_GRAPH_AT_ONCE):
            places = unknown[start : start + _BY_GRAPH_AT_ONCE]
            of_block = digests[places]
            units = reference.units(source.vectors, source.rows_of(of_block))
            keys = graph.search(units, self.reference.rows_of(of_block), self.k)
            self._write(self._file_of_block(of_block), of_block, keys)
            yield places, keys

    def _file_of_block(self, digests: np.ndarray) -> Path:
        content = hashlib.sha256(self._state_of_reference + digests.tobytes()).hexdigest()[:16]
        return self.folder / f".{self.name}.{content}.block"

    def _block(self, source: Source, digests: np.ndarray, reference: Reference, progress: Progress) -> np.ndarray:
        """Return the neighbours (n, k) of a block of sequences; go on with its file if a job was interrupted in it."""
        path = self._file_of_block(digests)
        found = self.read(path, finished=False)
        keys, begin = (found[1], found[2]) if found else (np.full((len(digests), self.k), NONE), 0)
        if begin:
            logger.info("going on at sequence %d of the reference", begin)
        progress.update(begin * len(digests))
        own = self.reference.rows_of(digests)
        units = reference.units(source.vectors, source.rows_of(digests))
        saved, before = time.monotonic(), begin
        for end in search(units, own, reference, keys, self.products, begin):
            progress.update((end - before) * len(digests))
            before = end
            if time.monotonic() - saved > _SAVED_EVERY:
                self._write(path, digests, keys, end)
                saved = time.monotonic()
        self._write(path, digests, keys)
        return keys

    def _write(self, path: Path, digests: np.ndarray, keys: np.ndarray, searched: int | None = None) -> None:
        with replacing(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
            file.attrs["searched"] = len(self.reference.digests) if searched is None else searched
            # With a checksum, which HDF5 compares when it reads them.
            file.create_dataset("digests", data=digests, fletcher32=True, chunks=True)
            file.create_dataset("keys", data=keys, fletcher32=True, chunks=True)


def remove_older(folder: Path, current: Collection[str]) -> None:
    """Remove what other searches of the dataset have found, and the files of blocks of this one.

    folder: of this search; current: the names of its shards, and of other files that stay. Files of others are left.
    """
    beside = folder.parent.glob(FINGERPRINT_NAMES)
    for found in [path for other in beside for pattern in _PATTERNS for path in other.glob(pattern)]:
        if found.parent != folder or found.stem not in current:
            found.unlink(missing_ok=True)
    for other in folder.parent.glob(f"{FINGERPRINT_NAMES}/"):
        if not any(other.iterdir()):
            other.rmdir()
