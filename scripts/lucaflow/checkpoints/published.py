"""Read a published checkpoint: its family and architecture by config.json, and its tensors by the network's names."""

from __future__ import annotations

import logging
from typing import Any

from torch import Tensor

from lucaflow.checkpoints.layouts import Origin
from lucaflow.checkpoints.state_dicts import read_tensors
from lucaflow.encoders.families import published_family
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.lucaone import LucaOne
from lucaflow.errors import CheckpointError
from lucaflow.files.json_files import parse_json

logger = logging.getLogger(__name__)


def read_config(origin: Origin) -> tuple[type[Encoder], Any]:
    """Return the family of a checkpoint, and the architecture described by config.json.

    Raises CheckpointError if the file describes none, or another family than that of the model's name.
    """
    family: type[Encoder] = LucaOne
    try:
        stated = parse_json(origin.config)
        family = published_family(stated, origin.layout)
        config = family.config_of(stated, origin.layout, origin.config.parent)
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{origin.config} does not describe {family.title} model: {error}") from error
    known = origin.model.known
    if known and known.family != family.family:
        raise CheckpointError(
            f"{origin.config} describes {family.title} model, but {origin.model.name} is of another family, "
            f"{known.family}. Correct checkpoints.path, or give this model a name of your own there."
        )
    return family, config


def read_published(origin: Origin, family: type[Encoder]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of all files by the network's names, and the first words of the names of those not used.

    Raises CheckpointError if a file is damaged, or if a name occurs twice.
    """
    tensors: dict[str, Tensor] = {}
    left_out: set[str] = set()
    for path in origin.weights:
        logger.info("reading %s", path)
        for key, value in read_tensors(path).items():
            name = family.name_of_tensor(key)
            if name in tensors:
                raise CheckpointError(f"{path}: {key} occurs twice, as {name}. Fetch all files again from one source.")
            if name is None:
                left_out.add(key.partition(".")[0])
            else:
                tensors[name] = value
    try:
        return family.completed(tensors), sorted(left_out)
    except ValueError as error:
        folder = origin.config.parent
        raise CheckpointError(f"the weights in {folder} are not those of {family.title}: {error}") from error
