"""Read a published checkpoint: its family and architecture by config.json, and its tensors by the network's names."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
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


@dataclass(frozen=True)
class Published:
    """The tensors of a published checkpoint.

    tensors: of the encoder, by the network's names; head: of the language model's head, by the names in
    `LanguageModelHead`; unequal: names of the head under which the files hold two different tensors; head_words,
    left_out: the first words of the published names of the head, and of all other tensors.
    """

    tensors: dict[str, Tensor]
    head: dict[str, Tensor]
    unequal: list[str]
    head_words: list[str]
    left_out: list[str]


def read_published(origin: Origin, family: type[Encoder]) -> Published:
    """Return the tensors of all files. Raises CheckpointError if a file is damaged, or if a name occurs twice."""
    tensors: dict[str, Tensor] = {}
    head: dict[str, Tensor] = {}
    left_out: set[str] = set()
    head_words: set[str] = set()
    unequal: set[str] = set()
    for path in origin.weights:
        logger.info("reading %s", path)
        for key, value in read_tensors(path).items():
            word = key.removeprefix("module.").partition(".")[0]
            name, of_head = family.name_of_tensor(key), family.name_of_head_tensor(key)
            if name in tensors:
                raise CheckpointError(f"{path}: {key} occurs twice, as {name}. Fetch all files again from one source.")
            if of_head is not None:
                head_words.add(word)
                # Some files name one tensor of the head twice.
                if of_head in head and not torch.equal(head[of_head], value):
                    unequal.add(of_head)
                head[of_head] = value
            elif name is None:
                left_out.add(word)
            else:
                tensors[name] = value
    try:
        return Published(family.completed(tensors), head, sorted(unequal), sorted(head_words), sorted(left_out))
    except ValueError as error:
        folder = origin.config.parent
        raise CheckpointError(f"the weights in {folder} are not those of {family.title}: {error}") from error
