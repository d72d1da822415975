"""The HDF5 files: what a shard holds, what embeddings.h5 holds, and how to open it.

A shard holds the arrays of its sequences, the longest sequence first. embeddings.h5 holds the packed vectors of a
dataset, and links to the matrices in the shards. There each row of vectors has its checksum in `checksums`, and each
matrix has its own in an attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from lucaflow.errors import EmbeddingError, StoreError, UnreadableError
from lucaflow.versions import EMBEDDINGS_FORMAT_VERSION, SHARD_FORMAT_VERSION

FORMAT = "lucaflow-embeddings"
SHARD_FORMAT = "lucaflow-shard"
COUNTS = ("residues_embedded", "windows")
PER_SEQUENCE = ("lengths", *COUNTS)
# Attributes of embeddings.h5 that say what it is of.
ATTRIBUTES = ("dataset", "llm_version", "llm_step", "checkpoint_sha256", "fingerprint")


def key_of(identifier: str) -> str:
    """Return the name under which an id's matrix is linked: the id, as far as HDF5 allows it.

    `urllib.parse.unquote` turns it back.
    """
    key = identifier.replace("%", "%25").replace("/", "%2F")
    return "%2E" if key == "." else key


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
