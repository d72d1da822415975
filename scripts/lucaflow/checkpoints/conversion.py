"""Write a converted model: safetensors, with a record of its origin. And convert an encoder to it.

The result holds the embedding part, in float32, with fused query, key and value projections. The head of the language
model has a file of its own, since embeddings do not depend on it. torch's restricted loader opens pickled state dicts;
it runs no code from the file.
"""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lucaflow import __version__
from lucaflow.checkpoints.architecture import check, converted_shapes, head_shapes
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, MODEL_NAME, PublishedFiles
from lucaflow.checkpoints.head_conversion import head_entries
from lucaflow.checkpoints.layouts import Origin
from lucaflow.checkpoints.published import read_config, read_published
from lucaflow.checkpoints.state_dicts import fused, network_sha256, write_parameters
from lucaflow.encoders.contacts import CONTACT_HEAD
from lucaflow.encoders.lucaone import LucaOne
from lucaflow.files.checksums import size_and_sha256
from lucaflow.files.sealed import sealed
from lucaflow.files.space import require_space
from lucaflow.files.writing import replacing, write_json
from lucaflow.versions import CONVERSION_VERSION


@dataclass(frozen=True)
class Content:
    """A model as its converter read it from published files.

    family: whose loader reads it; structure: what its network computes besides its tensors, as JSON can hold it;
    shapes: of all tensors, in their order; tensor_of: returns each by its name; described: what else its record says;
    beside: writes further files into the folder, and returns what the record says of them.
    """

    family: str
    structure: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    tensor_of: Callable[[str], Tensor]
    described: Mapping[str, Any]
    beside: Callable[[], Mapping[str, Any]] = dict


def write_converted(files: PublishedFiles, content: Content, folder: Path) -> dict[str, Any]:
    """Write `folder`/model.safetensors and checkpoint.json; return the record.

    Origin files in the same directory of checkpoints are recorded relative to it, so that the directory can be moved.
    Raises CheckpointError for values that are not finite, SpaceError if the disk cannot hold the result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = 4 * sum(math.prod(shape) for shape in content.shapes.values())
    require_space(folder, size, f"converting {files.name}")
    target = folder / MODEL_NAME
    metadata = {"family": content.family, "structure": json.dumps(content.structure, sort_keys=True)}
    with replacing(target) as temporary:
        digests = write_parameters(temporary, content.shapes, content.tensor_of, metadata)
    record = sealed(
        {
            "format": "lucaflow-checkpoint",
            "family": content.family,
            **files.stated,
            **content.described,
            **content.beside(),
            "origin": {_name_from(folder, path): size_and_sha256(path) for path in files.files},
            "model": size_and_sha256(target),
            "network_sha256": network_sha256(digests, content.shapes, content.structure),
            "sha256_of_parts": digests,
            "converter_version": CONVERSION_VERSION,
            "lucaflow_version": __version__,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
    )
    write_json(folder / CHECKPOINT_RECORD, record)
    return record


def _name_from(folder: Path, path: Path) -> str:
    inside = path.resolve().is_relative_to(folder.parent.resolve())
    return os.path.relpath(path, folder) if inside else str(path)


def convert(origin: Origin, folder: Path) -> dict[str, Any]:
    """Convert an encoder into a folder; return its record.

    Raises CheckpointError if the files cannot be used, SpaceError if the disk cannot hold the result.
    """
    network, config = read_config(origin)
    published = read_published(origin, network)
    tensors = published.tensors
    check(tensors, network, config, origin.config)
    heads = dict(sorted(head_shapes(network, config, tensors).items()))
    shapes = converted_shapes(network, config)
    numbers = asdict(config)
    content = Content(
        family=network.family,
        # LucaOne's has no family, as when it was the only one.
        structure=numbers if network is LucaOne else {**numbers, "family": network.family},
        shapes=shapes | heads,
        tensor_of=lambda name: tensors[name].float() if name in heads else fused(name, tensors),
        described={
            "encoder": numbers,
            "parameters": sum(math.prod(shape) for shape in shapes.values()),
            "contact_head": any(name.startswith(f"{CONTACT_HEAD}.") for name in heads),
        },
        beside=lambda: head_entries(folder, network, config, published),
    )
    return write_converted(origin, content, folder)
