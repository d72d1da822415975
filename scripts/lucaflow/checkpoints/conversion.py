"""Convert a published checkpoint to safetensors once, with a record of its origin.

The result holds only the embedding part, in float32, with fused query, key and value projections. torch's restricted
loader opens pickled state dicts; it runs no code from the file.
"""

from __future__ import annotations

import datetime
import json
import logging
import math
import multiprocessing
import os
import resource
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lucaflow import __version__
from lucaflow.checkpoints.architecture import check, converted_shapes, head_shapes
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, MODEL_NAME, read_record
from lucaflow.checkpoints.layouts import Origin
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.published import read_config, read_published
from lucaflow.checkpoints.state_dicts import fused, network_sha256, write_parameters
from lucaflow.encoders.contacts import CONTACT_HEAD
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.lucaone import LucaOne
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import size_and_sha256
from lucaflow.files.sealed import sealed
from lucaflow.files.space import human_bytes, require_space
from lucaflow.files.writing import replacing, write_json
from lucaflow.versions import CHECKPOINT_CONVERSION_VERSION

logger = logging.getLogger(__name__)

# Bytes that torch uses besides the weights, including the stacks of its threads.
_MEMORY_OF_TORCH = 8_000_000_000


def convert_in_subprocess(origin: Origin, model: Model, folder: Path) -> dict[str, Any]:
    """Run `convert` in a process of its own, with a memory limit that depends on the size of the files.

    Raises CheckpointError, also if that process is killed.
    """
    size = sum(path.stat().st_size for path in origin.files)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_limit_memory, initargs=(3 * size + _MEMORY_OF_TORCH,)) as pool:
        try:
            return pool.submit(convert, origin, model, folder).result()
        except (BrokenProcessPool, MemoryError) as error:
            raise CheckpointError(
                f"the process that read {', '.join(path.name for path in origin.weights)} in {origin.config.parent} "
                f"was ended ({type(error).__name__}), most likely for lack of memory: it needs about the size of the "
                f"files, {human_bytes(size)}. Run again where that much memory is free."
            ) from error


def _limit_memory(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def is_converted(origin: Origin, folder: Path) -> bool:
    """Return whether `folder` holds an undamaged conversion of the same files."""
    try:
        record = read_record(folder)
    except CheckpointError:
        return False
    model = folder / MODEL_NAME
    return (
        record.get("converter_version") == CHECKPOINT_CONVERSION_VERSION
        and {Path(name).name: entry for name, entry in record.get("origin", {}).items()}
        == {path.name: size_and_sha256(path) for path in origin.files}
        and model.is_file()
        and size_and_sha256(model) == record["model"]
    )


def convert(origin: Origin, model: Model, folder: Path) -> dict[str, Any]:
    """Write `folder`/model.safetensors and checkpoint.json; return the record.

    Origin files in the same directory of checkpoints are recorded relative to it, so that the directory can be moved.
    Raises CheckpointError if the files cannot be used, SpaceError if the disk cannot hold the result.
    """
    network, config = read_config(origin, model)
    tensors = read_published(origin, network)
    check(tensors, network, config, origin.config)
    heads = dict(sorted(head_shapes(network, config, tensors).items()))
    shapes = converted_shapes(network, config)
    folder.mkdir(parents=True, exist_ok=True)
    size = 4 * sum(math.prod(shape) for shape in (shapes | heads).values())
    require_space(folder, size, f"converting {model.name}")
    target = folder / MODEL_NAME
    with replacing(target) as temporary:
        digests = write_parameters(
            temporary,
            shapes | heads,
            lambda name: tensors[name].float() if name in heads else fused(name, tensors),
            {"encoder": json.dumps(asdict(config), sort_keys=True)},
        )
    record = sealed(
        {
            "format": "lucaflow-checkpoint",
            "llm_version": model.llm_version,
            "llm_step": model.llm_step,
            "layout": origin.layout,
            "origin": {_name_from(folder, path): size_and_sha256(path) for path in origin.files},
            "model": size_and_sha256(target),
            "network_sha256": network_sha256(digests, shapes | heads, _structure(network, config)),
            "sha256_of_parts": digests,
            "family": network.family,
            "encoder": asdict(config),
            "parameters": sum(math.prod(shape) for shape in shapes.values()),
            "contact_head": any(name.startswith(f"{CONTACT_HEAD}.") for name in heads),
            "converter_version": CHECKPOINT_CONVERSION_VERSION,
            "lucaflow_version": __version__,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
    )
    write_json(folder / CHECKPOINT_RECORD, record)
    return record


def _structure(network: type[Encoder], config: Any) -> dict[str, Any]:
    """Return what a network computes besides its tensors. LucaOne's has no family, as when it was the only one."""
    return asdict(config) if network is LucaOne else {**asdict(config), "family": network.family}


def _name_from(folder: Path, path: Path) -> str:
    inside = path.resolve().is_relative_to(folder.parent.resolve())
    return os.path.relpath(path, folder) if inside else str(path)
