"""How are the matrices that embeddings.h5 links to read, many of them one after the other?"""

from __future__ import annotations

import os
from collections import OrderedDict
from functools import cache
from pathlib import Path

import h5py
import numpy as np

from lucaflow.errors import StoreError, quoted
from lucaflow.store.checksums import checked_blocks, read_checked
from lucaflow.store.format import SHARD_FORMAT, hdf5_name
from lucaflow.versions import SHARD_FORMAT_VERSION

# Systems let a process open some thousand files, often 1,024.
MOST_OPEN = 128


class LinkedArrays:
    """The matrices, contacts and spans of an open embeddings.h5, each in a shard of its own or in the file itself.

    Up to 128 shards stay open, those that were read last: to open one takes longer than to read a matrix. An array is
    compared with its checksum when it is read for the first time.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._path = Path(file.filename).absolute()
        self._shards: OrderedDict[str, h5py.File] = OrderedDict()
        # Places of arrays whose values match: file and name.
        self._sound: set[tuple[str, str]] = set()
        self._group = cache(file.__getitem__)

    def read(self, output: str, identifier: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return rows of an array, all by default. output: `matrix`, `contacts` or `spans`.

        Raises StoreError if the shard cannot be used, or if the values do not match their checksum.
        """
        place = self._place(output, identifier)
        dataset = self._dataset(place, output, identifier)
        chosen = slice(start, stop)
        if place in self._sound:
            return dataset[chosen]
        is_whole = chosen.indices(len(dataset))[:2] == (0, len(dataset))
        try:
            found = read_checked(dataset) if is_whole else _checked_rows(dataset, chosen)
        except StoreError as error:
            remedy = "`snakemake verify` removes the file, and the next run makes it again."
            raise StoreError(f"{error}. {remedy}") from error
        self._sound.add(place)
        return found

    def close(self) -> None:
        for shard in self._shards.values():
            shard.close()
        self._shards.clear()

    def _place(self, output: str, identifier: str) -> tuple[str, str]:
        """Return the file of an array, as the link has it, and its name there; an array may be in the file itself."""
        name = hdf5_name(identifier)
        # The interface above this one takes longer than all else together.
        links, octets = self._group(output).id.links, name.encode()
        if links.get_info(octets).type != h5py.h5l.TYPE_EXTERNAL:
            return "", f"{output}/{name}"
        shard, path = links.get_val(octets)
        return os.fsdecode(shard), path.decode()

    def _dataset(self, place: tuple[str, str], output: str, identifier: str) -> h5py.Dataset:
        name, path = place
        if not name:
            return self._file[path]
        try:
            return self._shard(name)[path]
        except (KeyError, OSError) as error:
            raise StoreError(
                f"{self._path}: the {output} of {quoted(identifier)} should be in {self._path.parent / name}, "
                "which is missing or damaged. Keep the shards beside embeddings.h5, or run LucaFlow again."
            ) from error

    def _shard(self, name: str) -> h5py.File:
        """Return an open shard. name: relative to the folder of embeddings.h5. Raises StoreError, and OSError."""
        if name in self._shards:
            self._shards.move_to_end(name)
            return self._shards[name]
        beside, linked = (path.parent / name for path in (self._path, self._path.resolve()))
        shard = h5py.File(beside if beside.exists() else linked, "r")
        found = shard.attrs.get("format"), shard.attrs.get("format_version")
        if found[0] == SHARD_FORMAT and found[1] != SHARD_FORMAT_VERSION:
            shard.close()
            raise StoreError(
                f"{self._path.parent / name}: expected format {SHARD_FORMAT} {SHARD_FORMAT_VERSION}, found {found[1]}, "
                "written by another version of LucaFlow. Read it with that version, or run LucaFlow again."
            )
        self._shards[name] = shard
        if len(self._shards) > MOST_OPEN:
            self._shards.popitem(last=False)[1].close()
        return shard


def _checked_rows(dataset: h5py.Dataset, chosen: slice) -> np.ndarray:
    """Return rows of an array, of which all rows are compared with their checksum, some at a time."""
    first, last, _ = chosen.indices(len(dataset))
    found = np.empty((max(0, last - first), *dataset.shape[1:]), dataset.dtype)
    for number, block in checked_blocks(dataset):
        low, high = max(first, number), min(last, number + len(block))
        if low < high:
            found[low - first : high - first] = block[low - number : high - number]
    return found
