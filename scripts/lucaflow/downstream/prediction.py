"""Predict from stored embeddings. Each distinct sequence is read once, and goes through its tower once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from lucaflow.downstream.inputs import MATRIX, HeadInput, rows_for_head
from lucaflow.downstream.lucaonetasks import Task
from lucaflow.downstream.models import TrainedHead
from lucaflow.downstream.networks import Head
from lucaflow.downstream.required_embeddings import EmbeddingRequest, OwnEmbeddings, Plan
from lucaflow.downstream.residue_outputs import ResidueOutputs
from lucaflow.encoders.attention import share_frequencies
from lucaflow.engine.batches import plan_batches
from lucaflow.engine.consumer_thread import consume_in_background
from lucaflow.engine.devices import free_memory, is_out_of_memory, lacks_main_memory, on_device
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import DeviceError, StoreError
from lucaflow.files.space import human_bytes
from lucaflow.records.table import accepted_records
from lucaflow.store.assembly import AcceptedRecords
from lucaflow.store.checksums import read_checked, read_checked_rows
from lucaflow.store.format import SHARD_FORMAT, open_hdf5

logger = logging.getLogger(__name__)

# Rows that go through a downstream model at once.
ROWS_PER_BATCH = {"cpu": 4096, "cuda": 32768}
_PAIRS_PER_BATCH = 65536


@dataclass(frozen=True)
class ShardSource:
    """A shard from which a downstream model may read, and the options of its matrices.

    own_embeddings: those of the dataset, if it is one of the dataset's own shards.
    """

    path: Path
    options: EmbeddingOptions
    own_embeddings: OwnEmbeddings | None = None

    def serves(self, request: EmbeddingRequest, length: int) -> bool:
        """Return whether the matrices of sequences of `length` residues are the requested ones."""
        if self.own_embeddings:
            return self.own_embeddings.serves(request, length)
        return request.options_of(length) == self.options


def sources_of(
    request: EmbeddingRequest,
    plan: Plan,
    folder: Path,
    own_embeddings: OwnEmbeddings | None,
    own_shards: Sequence[Path],
) -> list[ShardSource]:
    """Return the dataset's own shards, and those of its plan that serve a request. folder: results/<dataset>/heads."""
    sources = []
    if own_embeddings:
        sources = [ShardSource(path, own_embeddings.options, own_embeddings) for path in own_shards]
    groups = plan.groups_for(request)
    return sources + [ShardSource(path, group.options) for group in groups for path in group.files(folder)]


class Batch(NamedTuple):
    """Matrices (k, E) that go through a downstream model together, and the row of each sequence among all."""

    rows: np.ndarray
    matrices: list[np.ndarray]


class Reading(Protocol):
    """Where a downstream model reads embeddings. problems: why a distinct sequence has none, by its row, once read."""

    @property
    def problems(self) -> Mapping[int, str]: ...

    def batches(self, needed: np.ndarray, budget: int) -> Iterator[Batch]:
        """Yield the embeddings of distinct sequences, each once, in batches of at most `budget` rows.

        needed: (U,) whether a sequence is to be read.
        """


class Sides(NamedTuple):
    """The accepted records of a dataset in input order: a row for each single sequence or pair.

    types: (R, S) sequence types of the S sides; readable: (R,) whether the task reads these types.
    """

    types: np.ndarray
    readable: np.ndarray


def read_sides(records: Path, task: Task) -> Sides:
    """Return the sequence types of the accepted records, from records.tsv."""
    parts = [accepted["seq_type"].to_numpy(dtype="U4") for accepted in accepted_records(records, ["seq_type"])]
    types = np.concatenate(parts).reshape(-1, len(task.seq_types))
    return Sides(types, (types == np.array(task.seq_types)).all(axis=1))


class Predictor:
    """A downstream model on a device. Neither batches nor device change a value beyond float rounding."""

    def __init__(self, head: Head, device: torch.device, budget: int | None = None) -> None:
        self.head = head.to(device)
        share_frequencies(self.head)
        self.device = device
        self.budget = budget or ROWS_PER_BATCH[device.type]
        self.outputs = head.structure.outputs

    @torch.inference_mode()
    def vectors(self, tower: int, matrices: Sequence[np.ndarray]) -> np.ndarray:
        """Return the vectors (B, W) of sequences. If memory is short, the batch is halved.

        That changes values by float rounding at most.
        """
        try:
            return self._vectors_at_once(tower, matrices)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(matrices) == 1:
                raise self._out_of_memory_error(len(matrices[0]), error) from error
        logger.warning("not enough memory for %d sequences; halving the batch", len(matrices))
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        middle = len(matrices) // 2
        return np.concatenate([self.vectors(tower, part) for part in (matrices[:middle], matrices[middle:])])

    def _vectors_at_once(self, tower: int, matrices: Sequence[np.ndarray]) -> np.ndarray:
        """Return the vectors (B, W). When it ends, also by a lack of memory, the device's memory is free again."""
        with on_device(self.device):
            rows = torch.from_numpy(np.concatenate(matrices)).to(self.device)
            return self.head.towers[tower](rows, [len(matrix) for matrix in matrices]).cpu().numpy()

    def _out_of_memory_error(self, rows: int, error: Exception) -> DeviceError:
        """Return the error for an embedding that does not fit in memory as a batch of its own."""
        if self.device.type == "cpu" or lacks_main_memory(error):
            return DeviceError(
                f"an embedding of {rows} rows does not fit into this machine's memory. Give the job more memory."
            )
        free, total = free_memory(self.device)
        return DeviceError(
            f"an embedding of {rows} rows does not fit into the GPU's memory, of which {human_bytes(free)} of "
            f"{human_bytes(total)} are free. Use a GPU with more memory, or set compute.device to `cpu`."
        )

    @torch.inference_mode()
    def outputs_for(self, *vectors: np.ndarray) -> np.ndarray:
        """Return probabilities or values (B, C) for the vectors (B, W) of each side."""
        with on_device(self.device):
            sides: list[Tensor] = [torch.from_numpy(side).to(self.device) for side in vectors]
            return self.head.predictions(self.head.logits(*sides)).cpu().numpy()


def read_batches(
    sources: Sequence[ShardSource], request: EmbeddingRequest, head_input: HeadInput, longest: int,
    accepted: AcceptedRecords, needed: np.ndarray, budget: int,
) -> Iterator[Batch]:  # fmt: skip
    """Yield the embeddings of distinct sequences, each once, in batches of at most `budget` rows.

    needed: (U,) whether a sequence is to be read; longest: the largest number of residue rows that the model reads.
    Raises StoreError if an embedding is missing or damaged.
    """
    unread = needed.copy()
    for source in sources:
        with open_hdf5(source.path, SHARD_FORMAT) as shard:
            digests, lengths = shard["digests"][:], shard["lengths"][:]
            rows = accepted.find_rows(digests)
            usable = {length: source.serves(request, length) for length in np.unique(lengths).tolist()}
            chosen = [
                index
                for index, (row, length) in enumerate(zip(rows.tolist(), lengths.tolist(), strict=True))
                if row >= 0 and unread[row] and usable[length]
            ]
            unread[rows[chosen]] = False
            drop_special = source.options.matrix_add_special_token and not request.special
            sizes = [int(lengths[index]) if request.output == MATRIX else 1 for index in chosen]
            for start, stop in plan_batches(sizes, budget):
                part = chosen[start:stop]
                if request.output != MATRIX:
                    # A vector is a single row.
                    block = read_checked_rows(shard, slice(part[0], part[-1] + 1))[request.output]
                    yield Batch(rows[part], list(block[np.array(part) - part[0]][:, None]))
                    continue
                matrices = [read_checked(shard[f"matrix/{digests[index].decode()}"]) for index in part]
                if drop_special:
                    matrices = [matrix[1:-1] for matrix in matrices]
                read = [rows_for_head(matrix, longest, head_input.special, head_input.frame) for matrix in matrices]
                yield Batch(rows[part], read)
    if unread.any():
        digest = accepted.digests[np.flatnonzero(unread)[0]].decode()
        raise StoreError(
            f"no shard has the embedding of sequence {digest}, nor of {int(unread.sum()) - 1} others. Run again."
        )


@dataclass(frozen=True)
class ShardReading:
    """The shards of a dataset, as a downstream model reads them. They hold every sequence, or it is an error.

    longest: the largest number of residue rows that the model reads.
    """

    sources: Sequence[ShardSource]
    request: EmbeddingRequest
    head_input: HeadInput
    longest: int
    accepted: AcceptedRecords
    problems: Mapping[int, str] = field(default_factory=dict)

    def batches(self, needed: np.ndarray, budget: int) -> Iterator[Batch]:
        """Yield embeddings as `read_batches` does."""
        return read_batches(
            self.sources, self.request, self.head_input, self.longest, self.accepted, needed, budget
        )  # fmt: skip


class OutputRows:
    """The outputs that are kept for each row: all of them, or only the most probable classes.

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
        """Return the values (k,) of a row, and their classes (k,)."""
        return self.values[row], self._classes[row if self.ranked else 0]

    def put(self, rows: np.ndarray | slice, outputs: np.ndarray) -> None:
        """Store the outputs (B, C) of rows. Of equal outputs the first wins; in a list the last, as in LucaOneTasks."""
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
    """The predictions for accepted records.

    place: (R,) the row of each record in `output_rows`; problems: why a record has no embedding, by its index.
    """

    sides: Sides
    output_rows: OutputRows | ResidueOutputs
    place: np.ndarray
    problems: Mapping[int, str] = field(default_factory=dict)

    def of(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the values (k,) and their classes (k,) of a record."""
        return self.output_rows.of(self.place[index])


def predict(
    predictor: Predictor, trained: TrainedHead, reading: Reading, accepted: AcceptedRecords, sides: Sides,
    topk: int | None,
) -> Predictions:  # fmt: skip
    """Return predictions for all accepted records that the task reads: R sequences or pairs, of U distinct sequences.

    topk: number of classes kept, None for the best; of each residue, it is always the best.
    """
    rows = accepted.sequence_rows.reshape(-1, sides.types.shape[1])
    needed = np.zeros(len(accepted.digests), dtype=bool)
    needed[rows[sides.readable]] = True
    batches = reading.batches(needed, predictor.budget)
    of_pairs = rows.shape[1] == 2
    output_rows: OutputRows | ResidueOutputs
    if trained.structure.is_token_level:
        read = np.where(needed, accepted.lengths, 0)
        output_rows = ResidueOutputs(read, trained.task.task_type, predictor.outputs)
        predict_residues(predictor, batches, output_rows, int(trained.reading.frame or trained.reading.special))
    elif of_pairs:
        output_rows = OutputRows(len(rows), trained.task.task_type, predictor.outputs, topk)
        predict_pairs(predictor, batches, rows, sides.readable, output_rows, reading)
    else:
        output_rows = OutputRows(len(needed), trained.task.task_type, predictor.outputs, topk)
        predict_singles(predictor, batches, output_rows)
    problems = _problems_of_records(rows, sides.readable, reading.problems)
    return Predictions(sides, output_rows, np.arange(len(rows)) if of_pairs else rows[:, 0], problems)


def _problems_of_records(rows: np.ndarray, readable: np.ndarray, problems: Mapping[int, str]) -> dict[int, str]:
    """Return why records have no embedding, by their index. rows: (R, S) of their sequences; problems: of sequences."""
    found = {}
    for index in np.flatnonzero(readable & _is_among(rows, problems)).tolist():
        names = ("side a: ", "side b: ") if rows.shape[1] == 2 else ("",)
        of_sides = zip(names, rows[index].tolist(), strict=True)
        found[index] = "; ".join(f"{side}{problems[row]}" for side, row in of_sides if row in problems)
    return found


def _is_among(rows: np.ndarray, problems: Mapping[int, str]) -> np.ndarray:
    """Return whether a sequence of each record (R, S) has a problem (R,)."""
    return np.asarray(np.isin(rows, list(problems)).any(axis=1))


def predict_singles(predictor: Predictor, batches: Iterator[Batch], output_rows: OutputRows) -> None:
    """Predict for distinct sequences while the next embeddings are read."""

    def consume(items: Iterator[Batch]) -> None:
        for batch in items:
            output_rows.put(batch.rows, predictor.outputs_for(predictor.vectors(0, batch.matrices)))

    consume_in_background(consume, batches)


def predict_residues(predictor: Predictor, batches: Iterator[Batch], found: ResidueOutputs, around: int) -> None:
    """Predict for the residues of distinct sequences while the next embeddings are read.

    around: rows of a matrix before its residues, and as many after them.
    """

    def consume(items: Iterator[Batch]) -> None:
        for batch in items:
            outputs = predictor.outputs_for(predictor.vectors(0, batch.matrices))  # (T, C)
            ends = np.cumsum([len(matrix) for matrix in batch.matrices])
            for row, part in zip(batch.rows.tolist(), np.split(outputs, ends[:-1]), strict=True):
                found.put(row, part[around : len(part) - around])

    consume_in_background(consume, batches)


def predict_pairs(
    predictor: Predictor, batches: Iterator[Batch], pairs: np.ndarray, readable: np.ndarray, output_rows: OutputRows,
    reading: Reading,
) -> None:  # fmt: skip
    """Predict for pairs.

    batches: of `reading`; pairs: (R, 2) rows of the distinct sequences; readable: (R,) whether the task reads a pair.
    """
    structure = predictor.head.structure
    towers = range(len(structure.inputs))
    needed = [np.zeros(int(pairs.max()) + 1, dtype=bool) for _ in towers]
    for side in range(2):
        needed[structure.tower_of(side)][pairs[readable, side]] = True
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
    rows = np.flatnonzero(readable & ~_is_among(pairs, reading.problems))
    for start in range(0, len(rows), _PAIRS_PER_BATCH):
        part = rows[start : start + _PAIRS_PER_BATCH]
        by_side = [structure.tower_of(side) for side in range(2)]
        both = (vectors[tower][place[tower][pairs[part, side]]] for side, tower in enumerate(by_side))
        output_rows.put(part, predictor.outputs_for(*both))
