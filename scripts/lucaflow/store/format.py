"""How are shards and embeddings.h5 laid out as HDF5, and how are they opened?

A shard holds the arrays of its sequences, the longest sequence first. The checksum of each row is in the dataset
`checksums`, the checksum of each matrix is in an attribute. embeddings.h5 holds the vectors of a whole dataset
and links to the matrices in the shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import EmbeddingError, StoreError, UnreadableError
from lucaflow.versions import (
    EMBEDDING_VERSION,
    EMBEDDINGS_FORMAT_VERSION,
    NEAREST_FORMAT_VERSION,
    SHARD_FORMAT_VERSION,
)

EMBEDDINGS_FORMAT = "lucaflow-embeddings"
SHARD_FORMAT = "lucaflow-shard"
NEAREST_FORMAT = "lucaflow-nearest"
_VERSIONS = {
    EMBEDDINGS_FORMAT: EMBEDDINGS_FORMAT_VERSION,
    SHARD_FORMAT: SHARD_FORMAT_VERSION,
    NEAREST_FORMAT: NEAREST_FORMAT_VERSION,
}
IDENTITY = ("digests", "lengths")
# The letters that each row of a matrix covers, where a row is a token of several letters.
SPANS = "spans"
COUNTS = ("residues_embedded", "windows")
PER_SEQUENCE = ("lengths", *COUNTS)
# Attributes of embeddings.h5 that name its dataset, model and options.
ORIGIN_ATTRIBUTES = ("dataset", "llm_version", "llm_step", "checkpoint_sha256", "fingerprint")

CHECKSUM_ATTRIBUTE = "checksum"

DEVICE_LENGTH = 64
# The tokens per batch, the device they were measured or halved on, and whether they were halved for lack of memory.
BUDGET, BUDGET_DEVICE, BUDGET_HALVED = "tokens_per_batch", "tokens_per_batch_on", "tokens_per_batch_halved"


def hdf5_name(identifier: str) -> str:
    """Return an id as a name that HDF5 allows. `urllib.parse.unquote` turns it back into the id.

    >>> hdf5_name("a/b 50%")
    'a%2Fb 50%25'
    """
    key = identifier.replace("%", "%25").replace("/", "%2F")
    return "%2E" if key == "." else key


def read_rows(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Return rows (n, H), given in any order. Adjacent rows are read at once; most rows of a block of records are."""
    distinct, places = np.unique(rows, return_inverse=True)
    runs = np.split(distinct, np.flatnonzero(np.diff(distinct) != 1) + 1)
    return np.concatenate([dataset[run[0] : run[-1] + 1] for run in runs])[places]


def cast_for_storage(values: np.ndarray, dtype: str, digests: Sequence[str]) -> np.ndarray:
    """Return values in the type in which they are stored. Raise EmbeddingError if float16 cannot hold them."""
    with np.errstate(over="ignore"):
        cast = values.astype(dtype, copy=False)
    if dtype == "float16" and not np.isfinite(cast).all():
        raise EmbeddingError(
            f"float16 cannot hold the embeddings of {digests[0]}"
            + (f" or the {len(digests) - 1} sequences after it" if len(digests) > 1 else "")
            + f": {_largest(values)}. Set embedding.dtype to float32."
        )
    return cast


def _largest(values: np.ndarray) -> str:
    """Return what is known of the largest value, for a message; a GPU may have cast it already."""
    if values.dtype == np.float16:
        return f"a value is larger than {np.finfo(np.float16).max:,.0f}"
    return f"the largest value is {np.abs(values).max():.3g}"


def as_store_error(path: Path, error: OSError) -> StoreError:
    """Return a failed read as UnreadableError or as damage. HDF5 gives an errno for system errors, none for damage."""
    if error.errno is not None:
        return UnreadableError(f"{path}: cannot be read now, and was left unchanged ({error})")
    return StoreError(f"{path}: damaged or cut short ({error})")


def open_hdf5(path: Path, file_format: str, locking: bool | None = None) -> h5py.File:
    """Open one of LucaFlow's files for reading. Raise StoreError for any other file.

    locking: whether HDF5 checks for a writer's lock, which needs a file system with locks; None: HDF5's default.
    """
    try:
        file = h5py.File(path, "r", locking=locking)
    except FileNotFoundError as error:
        raise StoreError(f"{path}: missing") from error
    except OSError as error:
        raise as_store_error(path, error) from error
    found = file.attrs.get("format"), file.attrs.get("format_version")
    version = _VERSIONS[file_format]
    if found != (file_format, version):
        file.close()
        remedy = (
            "Another version of LucaFlow wrote it: read it with that version, or delete it and run again"
            if found[0] == file_format
            else "It is another kind of file: correct the path"
        )
        raise StoreError(f"{path}: expected format {file_format} {version}, found {found[0]} {found[1]}. {remedy}.")
    return file


@dataclass(frozen=True)
class ShardContent:
    """The sequences of a shard, the longest first, and the options and checkpoint they are embedded with.

    rows: the rows of each matrix without those of special tokens; None if each residue has a row.
    """

    digests: Sequence[str]
    lengths: Sequence[int]
    options: EmbeddingOptions
    checkpoint_sha256: str
    hidden_size: int
    rows: Sequence[int] | None = None

    @cached_property
    def identity(self) -> dict[str, np.ndarray]:
        """Return the digests and the lengths, (n,) each, by dataset name."""
        return {"digests": np.array(self.digests, dtype="S64"), "lengths": np.array(self.lengths, dtype=np.int64)}

    @property
    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the shard's file."""
        return {
            "format": SHARD_FORMAT,
            "format_version": SHARD_FORMAT_VERSION,
            "fingerprint": self.options.fingerprint(self.checkpoint_sha256),
            "embedding_version": EMBEDDING_VERSION,
            "checkpoint_sha256": self.checkpoint_sha256,
            "options": self.options.to_attribute(),
            "hidden_size": self.hidden_size,
        }

    @property
    def arrays(self) -> tuple[str, ...]:
        """The outputs that are an array for each sequence, with the spans of matrices whose rows are no residues."""
        has_spans = self.rows is not None and "matrix" in self.options.outputs
        return (*self.options.linked, SPANS) if has_spans else self.options.linked

    def dtype_of(self, output: str) -> str:
        """Return the type of the numbers of an output."""
        return "int32" if output == SPANS else self.options.dtype

    def shapes(self, output: str) -> np.ndarray:
        """Return the shape of each sequence's `matrix`, `contacts` or `spans`, as an array (n, 2)."""
        residues, _ = self.options.windowing.counts(self.identity["lengths"])
        if output == "contacts":
            return np.stack([residues, residues], axis=1)
        rows = residues if self.rows is None else np.array(self.rows, dtype=np.int64)
        rows = rows + Vocabulary.special_tokens * self.options.matrix_add_special_token
        return np.stack([rows, np.full_like(rows, 2 if output == SPANS else self.hidden_size)], axis=1)


def create_empty_shard(path: Path, content: ShardContent) -> None:
    """Write a shard with all its arrays allocated, but without embeddings."""
    allocated_early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    allocated_early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    count, dtype = len(content.digests), content.options.dtype
    with h5py.File(path, "w", libver="earliest", locking=False) as file:
        file.attrs.update({**content.attributes, BUDGET: np.int64(0), BUDGET_DEVICE: np.zeros((), f"S{DEVICE_LENGTH}")})
        file.attrs[BUDGET_HALVED] = np.int64(False)
        for name in IDENTITY:
            file[name] = content.identity[name]
        for name in COUNTS:
            file[name] = np.zeros(count, dtype=np.int64)
        file["device"] = np.zeros(count, dtype=f"S{DEVICE_LENGTH}")
        file["taken_over"] = np.zeros(count, dtype=np.bool_)
        file["checksums"] = np.zeros(count, dtype=np.uint32)
        # Values that are not yet written are holes in the file: they take no disk space and read as zeros.
        for name in content.options.vectors:
            file.create_dataset(name, (count, content.hidden_size), dtype, dcpl=allocated_early, fill_time="never")
        for name in content.arrays:
            group, kind = file.create_group(name), content.dtype_of(name)
            for digest, shape in zip(content.digests, content.shapes(name).tolist(), strict=True):
                array = group.create_dataset(digest, tuple(shape), kind, dcpl=allocated_early, fill_time="never")
                array.attrs[CHECKSUM_ATTRIBUTE] = np.uint64(0)
