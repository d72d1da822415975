"""Small tasks to train on: sequences of random rows whose label is in their numbers."""

from __future__ import annotations

import numpy as np

from lucaflow.training.batches import Embedding, Example
from lucaflow.training.initial import new_head
from lucaflow.training.options import TrainingOptions, options_of, structure_of
from lucaflow.training.trainer import Observer, Trained, TrainingData, train

WIDTH, CLASSES = 8, 3
_SIZES = {"hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2, "num_hidden_layers": 2}
_DEFAULTS = {
    **_SIZES, "task_type": "multi_class", "classifier_size": 6, "per_gpu_train_batch_size": 4, "num_train_epochs": 3,
    "learning_rate": 0.01, "matrix_max_length": 64,
}  # fmt: skip


def small_options(**stated: object) -> TrainingOptions:
    return options_of({**_DEFAULTS, **stated})


def embedding(key: str) -> np.ndarray:
    """Return the matrix (n, WIDTH) of a sequence, n from 3 to 8; it depends on the key alone."""
    number = int("".join(filter(str.isdigit, key)))
    generator = np.random.default_rng(number)
    return generator.normal(number % CLASSES, 1, size=(3 + number % 6, WIDTH)).astype(np.float32)


def example(number: int, options: TrainingOptions) -> Example:
    """Return a row whose label is in the embedding of its (first) sequence."""
    keys = tuple(f"{side}{number}" for side in "ab"[: options.sides])
    rows = len(embedding(keys[0])) if options.is_token_level else None
    value = number % CLASSES
    values = {
        "multi_class": value,
        "binary_class": value > 0,
        "regression": value - 1.5,
        "multi_label": np.arange(CLASSES) <= value,
    }
    target = np.array(values[options.task_type], dtype=np.float32)
    return Example(f"row{number}", keys, target if rows is None else np.stack([target] * rows))


def small_data(options: TrainingOptions, train_rows: int = 14) -> TrainingData:
    parts = (range(train_rows), range(20, 27), range(30, 36))
    return TrainingData(*(tuple(example(number, options) for number in part) for part in parts))


def small_head(options: TrainingOptions):
    return new_head(structure_of(options, (WIDTH,) * options.sides, CLASSES), options.seed)


def train_small(
    options: TrainingOptions, data: TrainingData | None = None, embedding_of: Embedding = embedding, **further
) -> Trained:
    return train(small_head(options), data or small_data(options), options, embedding_of, **further)


class Seen(Observer):
    """The batches, updates and evaluations of a training."""

    def __init__(self) -> None:
        self.batches, self.losses, self.rates, self.norms, self.evaluated = [], [], [], [], []

    def batch(self, ids, loss):
        self.batches.append(list(ids))
        self.losses.append(loss)

    def update(self, rate, norm):
        self.rates.append(rate)
        self.norms.append(norm)

    def evaluation(self, part, epoch, found):
        self.evaluated.append((part, epoch, len(found.logits)))
