"""How do families of encoders publish their checkpoints: architecture in config.json, and names of tensors?"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from lucaflow.checkpoints import published_esm2
from lucaflow.checkpoints.layouts import Origin
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.state_dicts import canonical_name, read_tensors
from lucaflow.encoders.esm2 import Esm2
from lucaflow.encoders.families import FAMILIES
from lucaflow.encoders.lucaone import EncoderConfig, LucaOne
from lucaflow.errors import CheckpointError
from lucaflow.files.json_files import parse_json

logger = logging.getLogger(__name__)

# Parts of the training model that embedding does not use.
_DROPPED = re.compile(r"(lm_head|hidden_layer_list|classifier_list)\.")

# Defaults for keys that a Hugging Face config.json leaves out; that port's defaults differ from LucaOne's.
_HUGGINGFACE_DEFAULTS = {
    "token_dropout": False,
    "use_embed_layer_norm": False,
    "no_position_embeddings": True,
}


@dataclass(frozen=True)
class PublishedForm:
    """How a family publishes.

    network: the family; name: for messages, with its article; config_of: the architecture from config.json, raising
    ValueError or TypeError if it describes none; canonical: LucaOne's name of a tensor by its name and the layout, None
    for one that embedding does not use; completed: all tensors of the network from those of the files, None if they are
    the same.
    """

    network: type[LucaOne]
    name: str
    config_of: Callable[[Mapping[str, Any], Origin], EncoderConfig]
    canonical: Callable[[str, str], str | None]
    completed: Callable[[dict[str, Tensor], EncoderConfig], dict[str, Tensor]] | None = None


def _lucaone_config(stated: Mapping[str, Any], origin: Origin) -> EncoderConfig:
    defaults = _HUGGINGFACE_DEFAULTS if origin.layout == "huggingface" else {}
    known = {field.name for field in fields(EncoderConfig)}
    return EncoderConfig(**{key: value for key, value in {**defaults, **stated}.items() if key in known})


def _lucaone_name(key: str, layout: str) -> str | None:
    name = canonical_name(key, layout)
    return None if _DROPPED.match(name) else name


_LUCAONE = PublishedForm(LucaOne, "a LucaOne", _lucaone_config, _lucaone_name)
_ESM2 = PublishedForm(
    Esm2,
    "an ESM-2",
    published_esm2.config_of,
    published_esm2.canonical_name,
    published_esm2.with_shared_frequencies,
)
# By `model_type` in a Hugging Face config.json.
_FORMS = {"esm": _ESM2}


def read_config(origin: Origin, model: Model | None = None) -> tuple[PublishedForm, EncoderConfig]:
    """Return the form of a checkpoint, and the architecture described by config.json.

    model: its name, which may say its family. Raises CheckpointError if the file describes none, or another family.
    """
    form = _LUCAONE
    try:
        stated = parse_json(origin.config)
        if origin.layout == "huggingface":
            form = _FORMS.get(stated.get("model_type"), _LUCAONE)
        config = form.config_of(stated, origin)
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{origin.config} does not describe {form.name} model: {error}") from error
    if model and model.known and model.known.family != form.network.family:
        raise CheckpointError(
            f"{origin.config} describes {form.name} model, but {model.name} is of another family, "
            f"{model.known.family}. Correct checkpoints.path, or give this model a name of your own there."
        )
    return form, config


def read_published(origin: Origin, form: PublishedForm, config: EncoderConfig) -> dict[str, Tensor]:
    """Return the tensors of all files by LucaOne's names, without those that embedding does not use.

    Raises CheckpointError if a file is damaged, or if a name occurs twice.
    """
    tensors: dict[str, Tensor] = {}
    for path in origin.weights:
        logger.info("reading %s", path)
        for key, value in read_tensors(path).items():
            name = form.canonical(key, origin.layout)
            if name in tensors:
                raise CheckpointError(f"{path}: {key} occurs twice, as {name}. Fetch all files again from one source.")
            if name is not None:
                tensors[name] = value
    return form.completed(tensors, config) if form.completed else tensors


def network_of(record: Mapping[str, Any]) -> type[LucaOne]:
    """Return the family in the record of a converted checkpoint. Raises ValueError for one that LucaFlow has not.

    Records have named it only since there is more than one.
    """
    family = record.get("family", LucaOne.family)
    if family not in FAMILIES:
        raise ValueError(f"its family is {family!r}, expected one of {', '.join(FAMILIES)}")
    return FAMILIES[family]
