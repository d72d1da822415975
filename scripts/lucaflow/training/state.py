"""How is a training written down, so that it goes on after a kill to the same bits?

A state is one safetensors file: the weights, the optimiser's moments, the weights of the best epoch, and, as JSON in
its header, where the training is. It gets its name when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lucaflow.checkpoints.state_dicts import sha256_of_tensor
from lucaflow.files.sealed import refuse_changed, sealed
from lucaflow.files.writing import replacing

logger = logging.getLogger(__name__)

_KEY = "lucaflow_training"


@dataclass(frozen=True)
class EpochRecord:
    """The numbers of an epoch.

    epoch: from 1 on; step: batches since the beginning; rate: the learning rate after it; train_loss: the mean of its
    batches, or of their rows; dev, test: metrics; improved: whether it is the best one so far.
    """

    epoch: int
    step: int
    rate: float
    train_loss: float
    dev: dict[str, Any]
    test: dict[str, Any]
    improved: bool


@dataclass(frozen=True)
class Place:
    """Where a training is.

    epoch: whole epochs; batch: batches of this epoch; step: batches since the beginning; updates: of the weights;
    rate_steps: updates that count for the learning rate; loss, count: the sum of the losses of this epoch, and what to
    divide it by; values: the metric of each epoch by which it is chosen; records: of the epochs; finished: whether the
    training has ended.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    updates: int = 0
    rate_steps: int = 0
    loss: float = 0.0
    count: float = 0.0
    values: tuple[float, ...] = ()
    records: tuple[EpochRecord, ...] = field(default=())
    finished: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(stated: Mapping[str, Any]) -> Place:
        """Return the place that JSON states. Raises TypeError or KeyError."""
        records = tuple(EpochRecord(**record) for record in stated["records"])
        return replace(Place(**stated), values=tuple(stated["values"]), records=records)


def write_state(path: Path, training: str, place: Place, tensors: Mapping[str, Tensor]) -> None:
    """Write a state under its final name, completely or not at all.

    training: the digest of all that the training depends on; tensors: by names that begin with a kind, such as
    `weights/classifier.bias`.
    """
    found = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    record = sealed({"training": training, "place": place.to_json(), "tensors": _digest(found)})
    with replacing(path) as temporary:
        save_file(found, temporary, {_KEY: json.dumps(record)})


def read_state(path: Path, training: str) -> tuple[Place, dict[str, Tensor]] | None:
    """Return the place and the tensors of a state; None if there is none, or if it is damaged or of another training.

    Then the training begins anew, and comes to the same weights.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})[_KEY])
            refuse_changed(record)
            if record["training"] != training:
                logger.info("%s is the state of another training; this one begins anew.", path)
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        if record["tensors"] != _digest(tensors):
            raise ValueError("its tensors do not have the SHA-256 that it holds")
        return Place.from_json(record["place"]), tensors
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is damaged (%s); the training begins anew.", path, error)
        return None


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the hex SHA-256 of all tensors."""
    digests = {name: sha256_of_tensor(tensor) for name, tensor in sorted(tensors.items())}
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def with_kind(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by their names in a state."""
    return {f"{kind}/{name}": tensor for name, tensor in tensors.items()}


def of_kind(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a kind from those of a state, by their own names."""
    prefix = f"{kind}/"
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def restore_generator(generator: torch.Generator, tensors: Mapping[str, Tensor]) -> None:
    """Give a generator of random numbers the state that a training had."""
    if "generator" in tensors:
        generator.set_state(tensors["generator"])
