"""From stored embeddings to predictions: each distinct sequence is read, and goes through its tower, once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lucaflow.downstream.inputs import HeadInput, framed
from lucaflow.downstream.lucaonetasks import Task
from lucaflow.downstream.models import TrainedHead
from lucaflow.downstream.networks import Head
from lucaflow.downstream.required_embeddings import EmbeddingRequest, OwnEmbeddings, Plan
from lucaflow.engine.background import consume_in_background
from lucaflow.engine.batches import plan_batches
from lucaflow.engine.devices import is_lack_of_memory
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import DeviceError, StoreError
from lucaflow.records.table import accepted_records
from lucaflow.store.assembly import Accepted
from lucaflow.store.checksums import read_checked
from lucaflow.store.format import SHARD_FORMAT, open_hdf5

logger = logging.getLogger(__name__)

# Rows that go through a head at once.
ROWS_PER_BATCH = {"cpu": 4096, "cuda": 32768}
_PAIRS_PER_BATCH = 65536


@dataclass(frozen=True)
class ShardSource:
    """A shard from which a head may read, and what its matrices are."""

    path: Path
    options: EmbeddingOptions
    own: OwnEmbeddings | None = None

    def serves(self, wanted: EmbeddingRequest, length: int) -> bool:
        """Say whether a sequence of `length` residues lies here as a head wants it."""
        return self.own.serves(wanted, length) if self.own else wanted.options_of(length) == self.options


def sources_of(
    wanted: EmbeddingRequest, plan: Plan, folder: Path, own: OwnEmbeddings | None, own_shards: Sequence[Path]
) -> list[ShardSource]:
    """Return the shards of a plan (folder: results/<dataset>/heads), and the dataset's own."""
    sources = [ShardSource(path, own.options, own) for path in own_shards] if own else []
    groups = plan.groups_for(wanted)
    return sources + [ShardSource(path, group.options) for group in groups for path in group.files(folder)]


class Batch(NamedTuple):
    """Matrices (k, E) that go through a head together, and the rows of their sequences."""

    rows: np.ndarray
    matrices: list[np.ndarray]


class Sides(NamedTuple):
    """The accepted records of a dataset, one row for each single sequence or pair, in input order.

    types: (R, S) the type of each of S sides; fits: (R,) whether the task reads such.
    """

    types: np.ndarray
    fits: np.ndarray


def read_sides(records: Path, task: Task) -> Sides:
    """Read which types the accepted records have, from records.tsv."""
    parts = [accepted["seq_type"].to_numpy(dtype="U4") for accepted in accepted_records(records, ["seq_type"])]
    types = np.concatenate(parts).reshape(-1, len(task.seq_types))
    return Sides(types, (types == np.array(task.seq_types)).all(axis=1))


class Predictor:
    """A head on a device. Neither the batches nor the device change a value beyond float rounding."""

    def __init__(self, head: Head, device: torch.device, budget: int | None = None) -> None:
        self.head = head.to(device)
        self.device = device
        self.budget = budget or ROWS_PER_BATCH[device.type]
        self.outputs = head.structure.outputs

    @torch.inference_mode()
    def vectors(self, tower: int, matrices: Sequence[np.ndarray]) -> np.ndarray:
        """Return a vector (B, W) of each sequence. Lack of memory halves the batch, which changes no value."""
        try:
            rows = torch.from_numpy(np.concatenate(matrices)).to(self.device)
            return self.head.towers[tower](rows, [len(matrix) for matrix in matrices]).cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_lack_of_memory(error):
                raise
            if len(matrices) == 1:
                raise DeviceError(
                    f"an embedding of {len(matrices[0])} rows does not fit the memory there is. Give the job more, or "
                    "set compute.device to `cpu`."
                ) from error
        logger.warning("memory is short at %d sequences; halving the batch", len(matrices))
        middle = len(matrices) // 2
        return np.concatenate([self.vectors(tower, part) for part in (matrices[:middle], matrices[middle:])])

    @torch.inference_mode()
    def outputs_for(self, *vectors: np.ndarray) -> np.ndarray:
        """Return probabilities or values (B, C) for the vectors (B, W) of each side."""
        sides: list[Tensor] = [torch.from_numpy(side).to(self.device) for side in vectors]
        return self.head.predictions(self.head.logits(*sides)).cpu().numpy()


def read_batches(
    sources: Sequence[ShardSource], wanted: EmbeddingRequest, reading: HeadInput, longest: int, accepted: Accepted,
    needed: np.ndarray, budget: int,
) -> Iterator[Batch]:  # fmt: skip
    """Read the embeddings of the sequences that are needed, (U,), each once, in batches of at most `budget` rows.

    longest: rows of residues that the head reads at most. Raises StoreError where one is missing or damaged.
    """
    open_rows = needed.copy()
    for source in sources:
        with open_hdf5(source.path, SHARD_FORMAT) as shard:
            digests, lengths = shard["digests"][:], shard["lengths"][:]
            rows = accepted.rows_of(digests)
            fits = {length: source.serves(wanted, length) for length in np.unique(lengths).tolist()}
            chosen = [
                index
                for index, (row, length) in enumerate(zip(rows.tolist(), lengths.tolist(), strict=True))
                if row >= 0 and open_rows[row] and fits[length]
            ]
            open_rows[rows[chosen]] = False
            drop_special = source.options.matrix_add_special_token and not wanted.special
            for start, stop in plan_batches([int(lengths[index]) for index in chosen], budget):
                part = chosen[start:stop]
                matrices = [read_checked(shard[f"matrix/{digests[index].decode()}"]) for index in part]
                if drop_special:
                    matrices = [matrix[1:-1] for matrix in matrices]
                read = [framed(matrix, longest, reading.special, reading.frame) for matrix in matrices]
                yield Batch(rows[part], read)
    if open_rows.any():
        digest = accepted.digests[np.flatnonzero(open_rows)[0]].decode()
        raise StoreError(f"no shard holds the embedding of {digest} and {int(open_rows.sum()) - 1} others. Run again.")


class KeptPredictions:
    """What is kept of predictions: all outputs, or of classes the most probable ones.

    values: (R, k) float32, NaN where nothing was predicted.
    """

    def __init__(self, rows: int, task_type: str, outputs: int, topk: int | None) -> None:
        self.ranked = task_type == "multi_class"
        self.listed = topk is not None and topk > 1
        width = min(outputs, topk or 1) if self.ranked else outputs
        self.values = np.full((rows, width), np.nan, dtype=np.float32)
        self._classes = np.zeros((rows if self.ranked else 1, width), dtype=np.int32)
        if not self.ranked:
            self._classes[:] = np.arange(width)

    def of(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the values (k,) of a row, and the class (k,) of each."""
        return self.values[row], self._classes[row if self.ranked else 0]

    def put(self, rows: np.ndarray | slice, outputs: np.ndarray) -> None:
        """Take the outputs (B, C) of rows. Of equal ones the first counts, in a list the last, as in LucaOneTasks."""
        if not self.ranked:
            self.values[rows] = outputs
            return
        if self.listed:
            order = np.argsort(outputs, axis=1, kind="stable")[:, ::-1][:, : self.values.shape[1]]
        else:
            order = outputs.argmax(axis=1)[:, None]
        self._classes[rows] = order
        self.values[rows] = np.take_along_axis(outputs, order, axis=1)


@dataclass(frozen=True)
class Predictions:
    """What was predicted for accepted records. place: (R,) the row of `kept` that each has."""

    sides: Sides
    kept: KeptPredictions
    place: np.ndarray

    def of(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the values (k,) and their classes (k,) of a record."""
        return self.kept.of(self.place[index])


def predict(
    predictor: Predictor, trained: TrainedHead, wanted: EmbeddingRequest, longest: int, sources: Sequence[ShardSource],
    accepted: Accepted, sides: Sides, topk: int | None,
) -> Predictions:  # fmt: skip
    """Predict for all accepted records that a task reads: R single sequences or pairs, of U distinct sequences.

    longest: rows of residues that the head reads at most; topk: how many classes are kept, None for the best alone.
    """
    rows = accepted.sequence.reshape(-1, sides.types.shape[1])
    needed = np.zeros(len(accepted.digests), dtype=bool)
    needed[rows[sides.fits]] = True
    batches = read_batches(sources, wanted, trained.reading, longest, accepted, needed, predictor.budget)
    of_pairs = rows.shape[1] == 2
    kept = KeptPredictions(len(rows) if of_pairs else len(needed), trained.task.task_type, predictor.outputs, topk)
    if of_pairs:
        predict_pairs(predictor, batches, rows, sides.fits, kept)
    else:
        predict_singles(predictor, batches, kept)
    return Predictions(sides, kept, np.arange(len(rows)) if of_pairs else rows[:, 0])


def predict_singles(predictor: Predictor, batches: Iterator[Batch], kept: KeptPredictions) -> None:
    """Predict for distinct sequences, while the next embeddings are read."""

    def consume(items: Iterator[Batch]) -> None:
        for batch in items:
            kept.put(batch.rows, predictor.outputs_for(predictor.vectors(0, batch.matrices)))

    consume_in_background(consume, batches)


def predict_pairs(
    predictor: Predictor, batches: Iterator[Batch], sides: np.ndarray, wanted: np.ndarray, kept: KeptPredictions
) -> None:
    """Predict for pairs. sides: (R, 2) rows of the distinct sequences; wanted: (R,) the pairs to predict for."""
    structure = predictor.head.structure
    towers = range(len(structure.inputs))
    needed = [np.zeros(int(sides.max()) + 1, dtype=bool) for _ in towers]
    for side in range(2):
        needed[structure.tower_of(side)][sides[wanted, side]] = True
    vectors = [np.zeros((int(needed[tower].sum()), structure.vector(tower)), dtype=np.float32) for tower in towers]
    place = [np.cumsum(needed[tower]) - 1 for tower in towers]

    def consume(items: Iterator[Batch]) -> None:
        for batch in items:
            for tower in towers:
                chosen = np.flatnonzero(needed[tower][batch.rows])
                if len(chosen):
                    found = predictor.vectors(tower, [batch.matrices[index] for index in chosen])
                    vectors[tower][place[tower][batch.rows[chosen]]] = found

    consume_in_background(consume, batches)
    rows = np.flatnonzero(wanted)
    for start in range(0, len(rows), _PAIRS_PER_BATCH):
        part = rows[start : start + _PAIRS_PER_BATCH]
        by_side = [structure.tower_of(side) for side in range(2)]
        both = (vectors[tower][place[tower][sides[part, side]]] for side, tower in enumerate(by_side))
        kept.put(part, predictor.outputs_for(*both))
