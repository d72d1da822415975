"""How much space and time does a dataset need, given the embeddings that exist already?"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
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
        lengths_to_compute(counts.lengths, read_shard_names(table), shard_folder(table), shards),
    )


def require_room(
    counts: Counts, options: EmbeddingOptions, checkpoint: Mapping[str, Any], exports: Sequence[str], shards: Path
) -> None:
    """Raise SpaceError unless the whole dataset fits on the disk, before hours are spent on a part of it.

    checkpoint: the record of the converted one; exports: as in the configuration; shards: the folder of embeddings.
    """
    free = shutil.disk_usage(shards).free
    check_space(
        bytes_by_output(counts, options, checkpoint["encoder"], exports), stored_bytes(shards), free, shards.resolve()
    )


def stored_bytes(shards: Path) -> int:
    """Return the bytes that a folder of shards occupies, also unfinished ones. A file with two names counts once."""
    sizes = {}
    for path in (*shards.glob("[!.]*.h5"), *shards.glob(".*.h5.working")):
        # Another job may give a file its final name meanwhile.
        with suppress(FileNotFoundError):
            state = path.stat()
            sizes[state.st_ino] = state.st_blocks * 512
    return sum(sizes.values())


def lengths_to_compute(
    lengths: Mapping[int, int], names: Sequence[str], sequences: Path, shards: Path
) -> Mapping[int, int]:
    """Return the number of sequences of each length that no file in the folder `shards` holds yet.

    lengths: number of sequences of each length in all shards; names: of the shards; sequences: folder of their FASTA
    files.
    """
    missing = [name for name in names if not (shards / f"{name}.h5").is_file()]
    reusable = _stored_digests(_reusable_files(shards, set(names), missing)) if missing else np.zeros(0, dtype="S64")
    if not missing or (len(missing) == len(names) and not len(reusable)):
        return dict(lengths) if missing else {}
    found: Counter[int] = Counter()
    for name in missing:
        try:
            index = index_sequences(sequences / f"{name}.fasta")
        # The job that embeds the shard says what is wrong with it.
        except (OSError, ValueError):
            return dict(lengths)
        found.update(index.lengths[~_is_among(_digests(index), reusable)].tolist())
    return found


def _is_among(digests: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return which digests (n,) are among the known ones (m,), which are sorted."""
    if not len(known):
        return np.zeros(len(digests), dtype=bool)
    return known[np.minimum(np.searchsorted(known, digests), len(known) - 1)] == digests


def _digests(index: SequenceIndex) -> np.ndarray:
    """Return the digests (U,) of an index as text, as shards have them."""
    return np.frombuffer(index.digests.tobytes().hex().encode(), dtype="S64")


def _reusable_files(shards: Path, names: Collection[str], missing: Iterable[str]) -> list[Path]:
    """Return the files whose rows an embedding job reuses: shards of another division, and unfinished ones."""
    older = [path for path in shards.glob("[!.]*.h5") if path.stem not in names]
    unfinished = (shards / f".{name}.h5.working" for name in missing)
    return [*older, *(path for path in unfinished if path.is_file())]


def _stored_digests(paths: Iterable[Path]) -> np.ndarray:
    """Return the digests (n,) of the complete rows in files of shards, sorted."""
    return np.sort(np.concatenate([np.zeros(0, dtype="S64"), *map(_complete_rows, paths)]))


def _complete_rows(path: Path) -> np.ndarray:
    # It loads h5py, which is needed only where there is a file to reuse.
    from lucaflow.store.format import SHARD_FORMAT, open_hdf5

    try:
        with open_hdf5(path, SHARD_FORMAT, locking=False) as file:
            return file["digests"][:][file["checksums"][:] != 0]
    # The job that would reuse the rows says why it cannot.
    except (StoreError, OSError, KeyError, RuntimeError, ValueError, TypeError, IndexError):
        return np.zeros(0, dtype="S64")
