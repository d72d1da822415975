"""The recorded trainings of LucaOneTasks, translated into LucaFlow's options and data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise, permutations
from pathlib import Path

import numpy as np
import torch

from lucaflow.checkpoints.state_dicts import fused, shapes_of
from lucaflow.downstream.lucaonetasks import renamed
from lucaflow.training.batches import Example
from lucaflow.training.initial import new_head
from lucaflow.training.labels import target_of
from lucaflow.training.options import TrainingOptions, options_of, structure_of
from lucaflow.training.order import lucaonetasks_epochs
from lucaflow.training.trainer import Observer, Trained, TrainingData, train

# The option of each setting of a case.
_OPTIONS = {
    "task_type": "task_type", "task_level_type": "task_level_type", "model_type": "model_type",
    "pooling": "matrix_pooling_type", "encoder": "matrix_encoder", "H": "hidden_size", "FF": "intermediate_size",
    "heads": "num_attention_heads", "layers": "num_hidden_layers", "fc": "matrix_fc_size", "cls": "classifier_size",
    "fc_act": "fc_activate_func", "cls_act": "classifier_activate_func", "maxlen": "matrix_max_length",
    "special": "matrix_add_special_token", "loss_type": "loss_type", "reduction": "loss_reduction",
    "pos_weight": "pos_weight", "weight": "weight", "focal_alpha": "focal_loss_alpha",
    "focal_gamma": "focal_loss_gamma", "bs": "per_gpu_train_batch_size", "acc": "gradient_accumulation_steps",
    "buffer": "buffer_size", "lr": "learning_rate", "wd": "weight_decay", "beta1": "beta1", "beta2": "beta2",
    "max_grad_norm": "max_grad_norm", "strategy": "lr_update_strategy", "decay": "lr_decay_rate",
    "warm": "warmup_steps", "max_steps": "max_steps", "epochs": "num_train_epochs",
    "early_stop": "early_stop_epoch", "best": "best_metric_type", "seed": "seed",
}  # fmt: skip


def names_in(folder: Path) -> list[str]:
    """Return the names of the trainings in a folder."""
    return sorted(path.stem for path in folder.glob("*.npz") if path.with_suffix(".json").is_file())


@dataclass
class Recorder(Observer):
    """What was told of a training."""

    order: list[list[str]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    logits: dict[str, np.ndarray] = field(default_factory=dict)

    def batch(self, ids, loss):
        self.order.append(list(ids))
        self.losses.append(loss)

    def update(self, rate, norm):
        self.rates.append(rate)
        if norm is not None:
            self.norms.append(norm)

    def evaluation(self, part, epoch, found):
        self.logits[f"{part}/{epoch}/logits"] = np.concatenate(found.logits)


@dataclass(frozen=True)
class RecordedTraining:
    """A training of LucaOneTasks. record: its JSON file; arrays: its npz file."""

    record: dict
    arrays: dict[str, np.ndarray]

    @property
    def options(self) -> TrainingOptions:
        case = self.record["case"]
        stated = {_OPTIONS[name]: value for name, value in case.items() if name in _OPTIONS and value is not None}
        # Without an encoder, its sizes are 0 in some cases.
        if not case["encoder"]:
            for name in ("hidden_size", "num_attention_heads", "num_hidden_layers"):
                stated.pop(name, None)
        stated["dropout_prob"] = case.get("dropout", 0.0)
        stated["per_gpu_eval_batch_size"] = case.get("eval_bs", case["bs"])
        return options_of({**stated, "compatibility": "lucaonetasks"})

    def examples(self, part: str) -> list[Example]:
        """Return the rows of a part, in the order of its files."""
        ids = 1 if self.options.sides == 1 else 2
        classes = [""] * self.record["case"]["C"]
        return [
            Example(row[0], tuple(row[:ids]), target_of(row[-1], self.options, classes))
            for row in self.record["rows"][part]
        ]

    def data(self) -> TrainingData:
        """Return the rows of all parts.

        Several training files were read in the order in which their folder listed them. That is not recorded: it is
        found by the order of the batches.
        """
        rows, count = self.examples("train"), self.record["case"].get("files", 1)
        size = -(-len(rows) // count)
        starts = ([part[0] for part in np.array_split(range(len(rows)), count)], list(range(0, len(rows), size)))
        for starts_of_files in starts:
            divided = [rows[start:stop] for start, stop in pairwise([*starts_of_files, len(rows)])]
            for files in permutations(divided):
                data = TrainingData(
                    tuple(chain.from_iterable(files)), tuple(self.examples("dev")), tuple(self.examples("test")),
                    tuple(map(len, files)),
                )  # fmt: skip
                if self._order(data) == self.record["train_order"]:
                    return data
        return data

    def _order(self, data: TrainingData) -> list[list[str]]:
        """Return the rows of each batch, as many batches as are recorded."""
        options = self.options
        epochs = lucaonetasks_epochs(data.files, options.per_gpu_train_batch_size, options.buffer_size, options.seed)
        batches = islice(chain.from_iterable(epochs), len(self.record["train_order"]))
        return [[data.train[number].id for number in batch] for batch in batches]

    def weights(self, when: str) -> dict[str, torch.Tensor]:
        """Return the weights `init`, `best` or `final` by our names."""
        recorded = {
            name.removeprefix(f"{when}/"): torch.from_numpy(np.atleast_1d(values))
            for name, values in self.arrays.items()
            if name.startswith(f"{when}/")
        }
        names = renamed(recorded)
        tensors = {ours: recorded[theirs] for theirs, ours in names.items()}
        return {name: fused(name, tensors) for name in shapes_of(self._new_head().state_dict())}

    def _new_head(self):
        case = self.record["case"]
        inputs = (case["E"], case.get("E_b", case["E"]))[: self.options.sides]
        return new_head(structure_of(self.options, inputs, case["C"]), self.options.seed)

    def train(self, **options) -> tuple[Trained, Recorder]:
        """Train as it was recorded."""
        head, recorder = self._new_head(), Recorder()
        head.load_state_dict(self.weights("init"))
        trained = train(
            head, self.data(), self.options, lambda key: self.arrays[f"m/{key}"], observer=recorder, **options
        )
        return trained, recorder


def read_training(folder: Path, name: str) -> RecordedTraining:
    """Return a recorded training by its name."""
    record = json.loads((folder / f"{name}.json").read_text())
    return RecordedTraining(record, dict(np.load(folder / f"{name}.npz")))
