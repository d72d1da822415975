"""Convert a downstream model to safetensors, once, with a record of its structure and origin; and load it.

The weights are the only pickle that is opened, by torch's restricted loader.
"""

from __future__ import annotations

import datetime
import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from lucaflow import __version__
from lucaflow.checkpoints.converted_checkpoint import MODEL_NAME
from lucaflow.checkpoints.state_dicts import (
    first_problems,
    fused,
    misfits,
    network_sha256,
    published_shapes,
    read_tensors,
    repeated,
    shapes_of,
    write_parameters,
)
from lucaflow.downstream.inputs import head_input_of
from lucaflow.downstream.lucaonetasks import check_outputs, labels_of, renamed, structure_of
from lucaflow.downstream.models import HEAD_RECORD, HeadFiles, TrainedHead, read_head
from lucaflow.downstream.networks import Head
from lucaflow.downstream.structure import HeadStructure
from lucaflow.encoders.lucaone import Block
from lucaflow.encoders.onednn import can_pack, pack
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of, size_and_sha256
from lucaflow.files.json_files import parse_json
from lucaflow.files.sealed import sealed
from lucaflow.files.writing import replacing, write_json
from lucaflow.versions import HEAD_CONVERSION_VERSION

logger = logging.getLogger(__name__)


def read_arguments(log: Path) -> dict[str, Any]:
    """Return the training arguments: the JSON, on one line or several, at the beginning of logs.txt."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace").lstrip()
        arguments, _ = json.JSONDecoder().raw_decode(text)
        return dict(arguments)
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{log} does not begin with the training arguments as JSON ({error}). "
            "Copy it again from where the model was trained."
        ) from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return dict(parse_json(path))
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not the configuration of a downstream model, a JSON object ({error}). "
            "Copy it again from where the model was trained."
        ) from error


def _labels(files: HeadFiles, structure: HeadStructure) -> tuple[str, ...]:
    """Return the class names from the first file that has as many as the network. Raises CheckpointError."""
    found, problems = [], []
    for path in files.label_files:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            found.append(labels_of(lines, files.task.task_type, structure.outputs))
        except ValueError as error:
            problems.append(f"{path}: {error}")
    if not found and files.task.task_type != "regression":
        why = "; ".join(problems) or "there is no label.txt"
        raise CheckpointError(
            f"task {files.task.name}: its class names are missing ({why}). "
            f"Copy label.txt from where the model was trained to {files.log.parent}."
        )
    for problem in problems:
        logger.warning("%s; this file is ignored", problem)
    if len(set(found)) > 1:
        names = ", ".join(map(str, files.label_files))
        logger.warning("task %s: its label files differ (%s); the first one is used", files.task.name, names)
    return found[0] if found else ()


def _shapes_of(structure: HeadStructure) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's parameters, in their order. An encoder is built with a single layer."""
    encoder = structure.encoder
    single = replace(structure, encoder=replace(encoder, layers=1)) if encoder else structure
    with torch.device("meta"):
        state = Head(single).state_dict()
    return repeated(shapes_of(state), encoder.layers if encoder else 0)


def convert_head(files: HeadFiles, folder: Path) -> TrainedHead:
    """Write `folder`/model.safetensors and head.json. Raises CheckpointError if the model cannot be used."""
    task, arguments, config = files.task, read_arguments(files.log), _read_config(files.config)
    tensors = read_tensors(files.weights)
    names = renamed(tensors)
    tensors = {ours: tensors[theirs] for theirs, ours in names.items()}
    try:
        head_input = head_input_of(arguments, config)
        structure = structure_of(shapes_of(tensors), task, arguments, config)
        shapes_of_ours = _shapes_of(structure)
    except (ValueError, KeyError, IndexError, TypeError, RuntimeError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f"task {task.name}: the model in {files.config.parent} cannot be used: {what}."
        ) from error
    problems = misfits(tensors, published_shapes(shapes_of_ours))
    if problems:
        raise CheckpointError(
            f"{files.weights}: the weights of task {task.name} do not match its other files: "
            f"{first_problems(problems)}. Fetch or copy all of its files again, from one place."
        )
    check_outputs(structure, task)
    labels = _labels(files, structure)
    target = folder / MODEL_NAME
    with replacing(target) as temporary:
        digests = write_parameters(temporary, shapes_of_ours, lambda name: fused(name, tensors), {"task": task.name})
    network = network_sha256(digests, shapes_of_ours, asdict(structure))
    record = sealed(
        {
            "format": "lucaflow-head",
            "task": asdict(task),
            "reading": asdict(head_input),
            "structure": asdict(structure),
            "labels": list(labels),
            "origin": {str(path.relative_to(files.root)): size_and_sha256(path) for path in files.all_files},
            "model": size_and_sha256(target),
            "network_sha256": network,
            "converter_version": HEAD_CONVERSION_VERSION,
            "lucaflow_version": __version__,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
    )
    write_json(folder / HEAD_RECORD, record)
    return read_head(folder)


def load_head(folder: Path, device: torch.device | str = "cpu") -> Head:
    """Return a converted downstream model. Raises CheckpointError if its file does not match its record."""
    trained, path = read_head(folder), folder / MODEL_NAME
    if not path.is_file() or sha256_of(path) != trained.file_sha256:
        raise CheckpointError(
            f"{path} is missing, or does not have the recorded SHA-256. Delete {folder} and run again."
        )
    with torch.device("meta"):
        head = Head(trained.structure)
    head.load_state_dict(load_file(path), assign=True)
    head = head.to(device).eval().requires_grad_(False)
    return pack_encoders(head) if torch.device(device).type == "cpu" and can_pack() else head


def pack_encoders(head: Head) -> Head:
    """Pack the linear layers of the encoders, if there are any, into the form that is fastest on a processor."""
    for module in head.modules():
        if isinstance(module, Block):
            pack(module)
    return head
