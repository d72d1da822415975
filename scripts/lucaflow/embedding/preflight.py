"""What does embedding a dataset take, given the embeddings that exist already?"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.embedding.estimate import (
    Estimate,
    assumed_speed,
    bytes_by_output,
    check_space,
    estimate,
    measured_rate,
)
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError
from lucaflow.records.counts import Counts
from lucaflow.records.sequences import SequenceIndex, index_sequences, read_shard_names, shard_folder
from lucaflow.store.format import SHARD_FORMAT, open_hdf5


def preflight(
    folder: Path,
    table: Path,
    shards: Path,
    checkpoint: Path,
    options: EmbeddingOptions,
    config: Mapping[str, Any],
    device: str,
    threads: int,
) -> Estimate:
    """Return the estimate for a dataset and a model.

    folder: results/<dataset>/<model>; table: of the dataset's shards; shards: folder of their embeddings; checkpoint:
    folder of the converted one; device and threads: of an embedding job.
    """
    counts = Counts.read(table.with_name("counts.json"))
    return estimate(
        counts,
        options,
        read_record(checkpoint),
        assumed_speed(device, options.precision, threads),
        measured_rate(folder.parents[1] / "summary.tsv", folder.name),
        config["export"],
        lengths_to_compute(counts, table, shards),
    )


def require_room(
    counts: Counts, options: EmbeddingOptions, checkpoint: Mapping[str, Any], exports: Sequence[str], shards: Path
) -> None:
    """Raise SpaceError unless the whole dataset fits on the disk, before hours are spent on a part of it.

    checkpoint: the record of the converted one; exports: as in the configuration; shards: the folder of embeddings.
    """
    width = checkpoint["encoder"]["hidden_size"]
    free = shutil.disk_usage(shards).free
    check_space(bytes_by_output(counts, options, width, exports), stored_bytes(shards), free, shards.resolve())


def stored_bytes(shards: Path) -> int:
    """Return the bytes that a folder of shards occupies, also unfinished ones. A file with two names counts once."""
    states = {state.st_ino: state for state in (path.stat() for path in _files_of_shards(shards))}
    return sum(state.st_blocks * 512 for state in states.values())


def lengths_to_compute(counts: Counts, table: Path, shards: Path) -> Mapping[int, int]:
    """Return the number of sequences of each length that no file in the folder `shards` holds yet."""
    names = read_shard_names(table)
    missing = [name for name in names if not (shards / f"{name}.h5").is_file()]
    stored = _stored_digests(shards) if missing else None
    if stored is None or (len(missing) == len(names) and not len(stored)):
        return dict(counts.lengths) if missing else {}
    found: Counter[int] = Counter()
    for name in missing:
        index = index_sequences(shard_folder(table) / f"{name}.fasta")
        found.update(index.lengths[~np.isin(_digests(index), stored)].tolist())
    return found


def _digests(index: SequenceIndex) -> np.ndarray:
    """Return the digests (U,) of an index as text, as shards have them."""
    return np.frombuffer(index.digests.tobytes().hex().encode(), dtype="S64")


def _stored_digests(shards: Path) -> np.ndarray:
    """Return the digests (n,) of the complete rows in a folder of shards, also of unfinished ones."""
    return np.concatenate([np.zeros(0, dtype="S64"), *map(_complete_rows, _files_of_shards(shards))])


def _files_of_shards(shards: Path) -> Iterator[Path]:
    yield from shards.glob("[!.]*.h5")
    yield from shards.glob(".*.h5.working")


def _complete_rows(path: Path) -> np.ndarray:
    try:
        with open_hdf5(path, SHARD_FORMAT, locking=False) as file:
            return file["digests"][:][file["checksums"][:] != 0]
    # The job that would reuse the rows says why it cannot.
    except (StoreError, OSError, KeyError, RuntimeError):
        return np.zeros(0, dtype="S64")
