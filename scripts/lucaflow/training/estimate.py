"""How long will a training take, and how much memory, roughly?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lucaflow.embedding.estimate import human_seconds
from lucaflow.files.space import human_bytes
from lucaflow.records.counts import counted
from lucaflow.training.clusters import PARTS
from lucaflow.training.options import TrainingOptions
from lucaflow.training.splits import LabelledRows, Split

# The poolings that are trained, and how many operations a row of D channels takes, in units of D squared.
_TRAINED_POOLINGS = {
    "attentive": 2, "attention": 2, "context_attention": 2, "weighted_attention": 0, "value_attention": 4,
}  # fmt: skip
# A backward pass computes twice what a forward pass does.
_FORWARD_AND_BACKWARD = 3
# Seconds of a batch whatever its size, and bytes of matrices that are read in a second.
_SECONDS_PER_BATCH = 0.002
_READ_BYTES_PER_SECOND = 0.5e9
# Weights, gradients and two moments of each.
_COPIES_OF_WEIGHTS = 4
# Arrays of a batch as large as its rows that a trained pooling, and a layer of an encoder, keep for the backward pass.
_KEPT_BY_POOLING, _KEPT_BY_LAYER = 6, 16
_BYTES = 4
# Bytes of Python with torch, and copies of the mean vectors of all rows that the linear baseline makes.
_BYTES_OF_PROCESS = 8e8
_COPIES_OF_VECTORS = 4
# From here on the estimate advises another pooling.
_LONG = 2 * 3600.0


@dataclass(frozen=True)
class Rows:
    """What a training reads: the lengths in residues of the rows of each part, (n,), all sides together, and those of
    the distinct sequences."""

    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray
    distinct: np.ndarray


@dataclass(frozen=True)
class TrainingEstimate:
    """rows, residues: of train, dev and test; epochs: at most; seconds, memory: roughly, bytes; pooled_seconds: with a
    pooling that is not trained."""

    rows: int
    residues: int
    epochs: int
    seconds: float
    memory: float
    pooled_seconds: float
    device: str

    def describe(self) -> str:
        """Return the estimate as a line of text, with advice where it is long."""
        said = (
            f"{counted(self.rows, 'row')}, {counted(self.residues, 'residue')}, up to {counted(self.epochs, 'epoch')}: "
            f"about {human_seconds(self.seconds)} (a rough guess for {self.device}), {human_bytes(int(self.memory))} "
            "of memory"
        )
        if self.seconds < _LONG or self.pooled_seconds > self.seconds / 2:
            return said
        return (
            f"{said}. matrix_pooling_type `avg` or `max` without matrix_encoder pools each sequence once, and would "
            f"take about {human_seconds(self.pooled_seconds)}: try it first"
        )


def rows_of(rows: LabelledRows, split: Split) -> Rows:
    """Return the lengths of the labelled rows of each part."""
    lengths = np.array([len(sequence.residues) for sequence in rows.sequences], dtype=int)
    train, dev, test = (rows.sides[split.rows(part)].ravel() for part in PARTS)
    return Rows(lengths[train], lengths[dev], lengths[test], lengths[np.unique(np.concatenate((train, dev, test)))])


def estimate_training(
    rows: Rows, options: TrainingOptions, width: int, classes: int, speed: tuple[float, str]
) -> TrainingEstimate:
    """Return the estimate of a training.

    width: E of the embeddings; classes: outputs of the network; speed: operations per second, and the device in words.
    """
    pooled = replace(options, matrix_pooling_type="avg", matrix_encoder=False) if reads_rows(options) else options
    # A vector is a single row.
    longest = 1 if options.reads_vectors else options.longest
    residues = sum(int(np.minimum(part, options.longest).sum()) for part in (rows.train, rows.dev, rows.test))
    rows = Rows(*(np.minimum(part, longest) for part in (rows.train, rows.dev, rows.test, rows.distinct)))
    sides = options.sides
    return TrainingEstimate(
        rows=(len(rows.train) + len(rows.dev) + len(rows.test)) // sides,
        residues=residues,
        epochs=options.num_train_epochs,
        seconds=_seconds(rows, options, width, classes, speed[0]),
        memory=_memory(rows, options, width, classes),
        pooled_seconds=_seconds(rows, pooled, width, classes, speed[0]),
        device=speed[1],
    )


def reads_rows(options: TrainingOptions) -> bool:
    """Return whether the network reads the rows of matrices in each epoch; else each sequence is pooled once."""
    return options.matrix_encoder or options.is_token_level or options.matrix_pooling_type in _TRAINED_POOLINGS


def operations_of(lengths: np.ndarray, options: TrainingOptions, width: int, classes: int) -> float:
    """Return the operations, multiplications and additions, of a forward pass of sequences. lengths: (n,) residues."""
    rows, found = float(lengths.sum()), 0.0
    channels = options.hidden_size if options.matrix_encoder else width
    if options.matrix_encoder:
        layer = 4 * channels**2 + 2 * channels * options.intermediate_size
        found += 2 * rows * (width * channels + options.num_hidden_layers * layer)
        found += 4 * channels * options.num_hidden_layers * float((lengths.astype(float) ** 2).sum())
    if not options.is_token_level and not options.reads_vectors:
        found += rows * _TRAINED_POOLINGS.get(options.matrix_pooling_type, 0) * channels**2
    # For a pair the classifier reads both vectors at once.
    of_vectors = rows if options.is_token_level else len(lengths)
    return found + 2 * of_vectors * _classifier(options, channels, classes)


def _classifier(options: TrainingOptions, channels: int, classes: int) -> int:
    """Return the weights that each vector (or row of residues) meets after the pooling."""
    widths = (channels, *options.matrix_fc_size, options.classifier_size)
    outputs = options.classifier_size * classes
    return sum(first * second for first, second in pairwise(widths)) + outputs


def _seconds(rows: Rows, options: TrainingOptions, width: int, classes: int, speed: float) -> float:
    epochs = options.num_train_epochs
    evaluated = operations_of(rows.dev, options, width, classes)
    trained = operations_of(rows.train, options, width, classes)
    tested = operations_of(rows.test, options, width, classes)
    computing = epochs * (_FORWARD_AND_BACKWARD * trained + evaluated) + tested
    reads = float(rows.distinct.sum())
    if reads_rows(options):
        reads = epochs * float(rows.train.sum() + rows.dev.sum())
    batches = epochs * (
        len(rows.train) / options.per_gpu_train_batch_size + len(rows.dev) / options.per_gpu_eval_batch_size
    )
    reading = reads * width * _BYTES / _READ_BYTES_PER_SECOND
    return computing / speed + reading + batches / options.sides * _SECONDS_PER_BATCH


def _memory(rows: Rows, options: TrainingOptions, width: int, classes: int) -> float:
    channels = options.hidden_size if options.matrix_encoder else width
    weights = _classifier(options, channels, classes)
    weights += _TRAINED_POOLINGS.get(options.matrix_pooling_type, 0) * channels**2
    if options.matrix_encoder:
        layer = 4 * channels**2 + 2 * channels * options.intermediate_size
        weights += width * channels + options.num_hidden_layers * layer
    found = _COPIES_OF_WEIGHTS * weights * _BYTES + _BYTES_OF_PROCESS
    found += _COPIES_OF_VECTORS * (len(rows.train) + len(rows.dev) + len(rows.test)) * width * _BYTES
    if not reads_rows(options):
        return float(found + len(rows.distinct) * width * _BYTES)
    kept = width + _KEPT_BY_POOLING * channels
    if options.matrix_encoder:
        kept += _KEPT_BY_LAYER * options.num_hidden_layers * channels
    longest = np.sort(rows.train)[-options.per_gpu_train_batch_size * options.sides :].sum()
    return float(found + longest * kept * _BYTES)
