"""Train a downstream model on frozen embeddings.

The same loop computes the training of LucaOneTasks (`compatibility: lucaonetasks`) and the corrected one. They differ
in the order of rows, in dropout, in how the batches of an update are weighed, in the schedule, and in when the test set
is looked at.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lucaflow.checkpoints.state_dicts import sha256_of_tensor
from lucaflow.downstream.networks import Head
from lucaflow.encoders.arithmetic import arithmetic
from lucaflow.errors import TrainingError
from lucaflow.files.json_files import digest_of_settings
from lucaflow.training.batches import Batches, Embedding, Example
from lucaflow.training.dropout import Dropout, KeyedDropout, SequentialDropout, no_dropout
from lucaflow.training.evaluation import Evaluation, evaluate
from lucaflow.training.forward import outputs
from lucaflow.training.losses import class_weight, loss_of
from lucaflow.training.optimiser import moments_of, optimiser_of, restore_moments, update
from lucaflow.training.options import TrainingOptions
from lucaflow.training.order import batches_of_epoch, lucaonetasks_epochs
from lucaflow.training.schedule import schedule_of
from lucaflow.training.selection import ends_early, is_better, value_of
from lucaflow.training.state import (
    EpochRecord,
    Place,
    of_kind,
    read_state,
    restore_generator,
    with_kind,
    write_state,
)
from lucaflow.versions import TRAINING_VERSION

logger = logging.getLogger(__name__)

# Seconds between two states within an epoch.
STATE_INTERVAL = 300.0


@dataclass(frozen=True)
class TrainingData:
    """The rows of the three parts.

    files: for LucaOneTasks' order, the number of training rows of each file, in the order in which its folder lists
    them; none: they are all in one file.
    """

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    files: tuple[int, ...] = ()


class Observer:
    """Receives the events of a training while it runs; each method does nothing here."""

    def batch(self, ids: Sequence[str], loss: float) -> None:
        """Take the rows of a batch, in order, and its mean loss."""

    def update(self, rate: float, norm: float | None) -> None:
        """Take the learning rate of an update, and the total norm of its gradients if they are clipped."""

    def evaluation(self, part: str, epoch: int, found: Evaluation) -> None:
        """Take what a part (`dev` or `test`) is predicted to be after an epoch, from 1 on."""


@dataclass(frozen=True)
class Trained:
    """A trained downstream model.

    head: with the weights of the best epoch; best: the record of that epoch; records: of all epochs; dev, test: what it
    predicts; final: the weights after the last update, by name.
    """

    head: Head
    best: EpochRecord
    records: tuple[EpochRecord, ...]
    dev: Evaluation
    test: Evaluation
    final: Mapping[str, Tensor]


def train(
    head: Head,
    data: TrainingData,
    options: TrainingOptions,
    embedding: Embedding,
    state: Path | None = None,
    device: torch.device | str = "cpu",
    embedding_digest: str = "",
    observer: Observer | None = None,
    interval: float = STATE_INTERVAL,
) -> Trained:
    """Train a network, which is changed, and return it with the weights of its best epoch.

    head: with its initial weights; embedding: returns the embedding of a sequence by its key; state: the file in which
    the training is written down, at the end of each epoch and every `interval` seconds; if it is there, and of the same
    training, that goes on; embedding_digest: says which embeddings these are. On the same machine, with the same number
    of threads, a training that was stopped and goes on has the same weights to the bit. Raises TrainingError.
    """
    _refuse_empty(data)
    with arithmetic("float32"):
        run = _Training(head, data, options, embedding, torch.device(device), observer or Observer())
        digest = digest_of_training(head, data, options, embedding_digest) if state else ""
        found = read_state(state, digest) if state else None
        if found:
            run.restore(*found)
        write = (lambda: write_state(state, digest, run.place, run.tensors())) if state else None
        run.run(write, interval)
        return run.result()


def _refuse_empty(data: TrainingData) -> None:
    """Raise TrainingError for a part without a single label."""
    for part in ("train", "dev", "test"):
        examples = getattr(data, part)
        if not any(not np.isnan(each.target).all() for each in examples):
            raise TrainingError(
                f"the {part} part has {len(examples)} rows, none of them with a label; expected labelled rows in each "
                "of train, dev and test. Change the split."
            )


def digest_of_training(head: Head, data: TrainingData, options: TrainingOptions, embedding_digest: str) -> str:
    """Return the hex SHA-256 of all that the weights depend on, but for the machine."""

    def told(example: Example) -> list[Any]:
        target = np.nan_to_num(example.target.astype(float), nan=math.inf)
        return [example.id, list(example.sequences), str(target.tolist())]

    return digest_of_settings(
        {
            "version": TRAINING_VERSION,
            "options": asdict(options),
            "structure": asdict(head.structure),
            "weights": {name: sha256_of_tensor(each.detach().cpu()) for name, each in head.state_dict().items()},
            "rows": {part: [told(each) for each in getattr(data, part)] for part in ("train", "dev", "test")},
            "files": list(data.files),
            "embedding": embedding_digest,
        }
    )


class _Training:
    """A training that runs: what changes from update to update."""

    def __init__(
        self,
        head: Head,
        data: TrainingData,
        options: TrainingOptions,
        embedding: Embedding,
        device: torch.device,
        observer: Observer,
    ) -> None:
        self.head = head.to(device).requires_grad_(True)
        self.data, self.options, self.observer = data, options, observer
        keys = [
            {each.sequences[side] for part in (data.train, data.dev, data.test) for each in part}
            for side in range(options.sides)
        ]
        self.batches = Batches(head, options, embedding, device, keys)
        targets = np.concatenate([each.target.ravel() for each in data.train])
        weight = class_weight(options, torch.from_numpy(targets))
        self.weight = None if weight is None else weight.to(device)
        self.schedule = schedule_of(options, len(data.train))
        if self.schedule.warmup >= self.schedule.updates:
            logger.warning(
                "warmup_steps is %d, but there are %d updates: learning_rate never reaches %g.",
                self.schedule.warmup, self.schedule.updates, options.learning_rate,
            )  # fmt: skip
        self.optimiser = optimiser_of(head, options)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.place = Place()
        self.best: dict[str, Tensor] = {}

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the state."""
        return {
            **with_kind("weights", self.head.state_dict()),
            **moments_of(self.head, self.optimiser),
            **with_kind("best", self.best),
            "generator": self.generator.get_state(),
        }

    def restore(self, place: Place, tensors: Mapping[str, Tensor]) -> None:
        self.place = place
        self.head.load_state_dict(of_kind("weights", tensors))
        restore_moments(self.head, self.optimiser, tensors, place.updates)
        self.best = of_kind("best", tensors)
        restore_generator(self.generator, tensors)

    def run(self, write: Callable[[], None] | None, interval: float) -> None:
        """Train to the end."""
        written = time.monotonic()

        def write_down() -> None:
            nonlocal written
            if write:
                write()
            written = time.monotonic()

        for order in islice(self._epochs(), self.place.epoch, None):
            if self.place.finished:
                return
            size = self.options.gradient_accumulation_steps
            while self.place.batch < len(order) and not self._is_last_update:
                self._update(order[self.place.batch : self.place.batch + size])
                if time.monotonic() - written >= interval:
                    write_down()
            self._end_epoch()
            write_down()

    @property
    def _is_last_update(self) -> bool:
        return not self.options.is_exact and self.place.updates >= self.schedule.updates

    def _epochs(self) -> Iterator[list[tuple[int, ...]]]:
        """Yield the batches of all epochs, as the numbers of rows."""
        options, rows = self.options, len(self.data.train)
        size = options.per_gpu_train_batch_size
        if options.is_exact:
            epochs = lucaonetasks_epochs(self.data.files or (rows,), size, options.buffer_size, options.seed)
            yield from islice(epochs, options.num_train_epochs)
            return
        for epoch in range(options.num_train_epochs):
            yield batches_of_epoch(rows, size, options.seed, epoch)

    def _dropout(self) -> Dropout:
        options = self.options
        if not options.dropout_prob:
            return no_dropout
        if options.is_exact:
            return SequentialDropout(options.dropout_prob, self.generator)
        return KeyedDropout(options.dropout_prob, options.seed, self.place.step)

    def _update(self, group: Sequence[Sequence[int]]) -> None:
        """Compute the gradients of the batches of an update, and change the weights."""
        options, count = self.options, 0.0
        for numbers in group:
            count += self._batch([self.data.train[number] for number in numbers])
        rate = self.schedule.rate(self.place.rate_steps, self.place.epoch)
        # At the end of an epoch there may be fewer batches. LucaOneTasks neither clips the gradients of such an update
        # nor counts it for the learning rate.
        forgotten = options.is_exact and len(group) < options.gradient_accumulation_steps
        norm = update(
            self.head,
            self.optimiser,
            rate,
            None if options.is_exact else count,
            None if forgotten else options.max_grad_norm,
        )
        self.observer.update(rate, norm)
        place = self.place
        self.place = replace(place, updates=place.updates + 1, rate_steps=place.rate_steps + (not forgotten))

    def _batch(self, examples: Sequence[Example]) -> float:
        """Add the gradients of a batch; return the number that its loss is divided by."""
        options, place = self.options, self.place
        batch = self.batches.of(examples)
        logits = outputs(self.head, batch.sides, options.is_token_level, self._dropout())
        loss = loss_of(logits, batch.target, batch.owner, options, self.weight)
        mean = float(loss.mean.detach())
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss is {mean} in epoch {place.epoch + 1}, batch {place.batch + 1}, expected a number. Check the "
                f"embeddings, or lower learning_rate ({options.learning_rate:g})."
            )
        # Gradients of an update are those of the mean over all its labels. LucaOneTasks gives each batch an equal part.
        minimised = loss.mean / options.gradient_accumulation_steps if options.is_exact else loss.total
        torch.autograd.backward(minimised)
        self.observer.batch([each.id for each in examples], mean)
        total, count = (mean, 1.0) if options.is_exact else (float(loss.total.detach()), loss.count)
        self.place = replace(
            place,
            batch=place.batch + 1,
            step=place.step + 1,
            loss=place.loss + total,
            count=place.count + count,
        )
        return loss.count

    def _evaluate(self, part: str) -> Evaluation:
        return evaluate(self.head, self.batches, getattr(self.data, part), self.options, self.weight)

    def _end_epoch(self) -> None:
        """Evaluate the network after an epoch, and decide whether it is the best one, and whether it is the last."""
        options, place = self.options, self.place
        epoch = place.epoch + 1
        dev = self._evaluate("dev")
        self.observer.evaluation("dev", epoch, dev)
        test: dict[str, Any] = {}
        if options.is_exact:
            found = self._evaluate("test")
            self.observer.evaluation("test", epoch, found)
            test = found.metrics
        value = value_of(dev.metrics, options)
        improved = is_better(value, place.values, options)
        if improved:
            self.best = {name: each.detach().cpu().clone() for name, each in self.head.state_dict().items()}
        # LucaOneTasks does not count an epoch whose metric is missing.
        counted = not options.is_exact or options.best_metric in dev.metrics
        values = (*place.values, value) if counted else place.values
        record = EpochRecord(
            epoch=epoch,
            step=place.step,
            rate=self.schedule.rate(place.rate_steps, epoch),
            train_loss=place.loss / place.count if place.count else math.nan,
            dev=dev.metrics,
            test=test,
            improved=improved,
        )
        over = epoch == options.num_train_epochs or self._is_last_update or ends_early(values, options)
        self.place = replace(
            place, epoch=epoch, batch=0, loss=0.0, count=0.0, values=values, records=(*place.records, record),
            finished=over,
        )  # fmt: skip

    def result(self) -> Trained:
        """Return the network with the weights of its best epoch, and what it predicts."""
        kept = [record for record in self.place.records if record.improved]
        if not kept:
            raise TrainingError(
                f"best_metric_type {self.options.best_metric} is not defined for the dev part in any of the "
                f"{len(self.place.records)} epochs, so that none can be kept. Choose another metric."
            )
        final = {name: each.detach().cpu().clone() for name, each in self.head.state_dict().items()}
        self.head.load_state_dict(self.best)
        self.head.requires_grad_(False)
        return Trained(self.head, kept[-1], self.place.records, self._evaluate("dev"), self._evaluate("test"), final)
