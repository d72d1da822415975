"""What do the files of a checkpoint say of its network, before any of its weights are read?

A plan needs to know it, and loads no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, EncoderSource, read_record
from lucaflow.checkpoints.known_models import FAMILIES, KnownFamily
from lucaflow.checkpoints.layouts import tensor_names
from lucaflow.errors import CheckpointError
from lucaflow.files.json_files import parse_json

# In the names of its published tensors.
_CONTACT_HEAD = "contact_head."


@dataclass(frozen=True)
class StatedNetwork:
    """A network as its files state it.

    layers, contact_head (whether there is one): None if they don't say; path: the file that says it.
    """

    family: KnownFamily
    layers: int | None
    contact_head: bool | None
    path: Path


def stated_network(source: EncoderSource) -> StatedNetwork | None:
    """Return the network of a checkpoint on this disk; None if a file cannot be read, as its conversion says.

    While its directory is out of reach, the record of its conversion says it. Raises CheckpointError, which names the
    missing files, without either.
    """
    try:
        origin = source.located()
    except CheckpointError:
        if not (source.folder / CHECKPOINT_RECORD).is_file():
            raise
        record = read_record(source.folder)
        path = source.folder / CHECKPOINT_RECORD
        return _network(record["family"], record.get("encoder"), record.get("contact_head"), path)
    try:
        stated, names = parse_json(origin.config), tensor_names(origin)
    except (OSError, ValueError):
        return None
    kind = stated.get("model_type") if isinstance(stated, Mapping) and origin.layout == "huggingface" else None
    family = next((known.name for known in FAMILIES.values() if kind and kind == known.model_type), "lucaone")
    has_head = None if names is None else any(_CONTACT_HEAD in name for name in names)
    return _network(family, stated, has_head, origin.config)


def _network(family: str, numbers: Any, contact_head: bool | None, path: Path) -> StatedNetwork | None:
    if family not in FAMILIES:
        return None
    layers = numbers.get("num_hidden_layers") if isinstance(numbers, Mapping) else None
    return StatedNetwork(FAMILIES[family], layers if type(layers) is int else None, contact_head, path)
