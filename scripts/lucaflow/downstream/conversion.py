"""Convert a downstream model of LucaOneTasks, and load it.

The weights are the only pickle that is opened, by torch's restricted loader.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from lucaflow.checkpoints.checked_weights import CheckedWeights
from lucaflow.checkpoints.conversion import Content, write_converted
from lucaflow.checkpoints.state_dicts import (
    first_problems,
    fused,
    misfits,
    published_shapes,
    read_tensors,
    repeated,
    shapes_of,
)
from lucaflow.downstream.inputs import head_input_of
from lucaflow.downstream.lucaonetasks import check_outputs, labels_of, renamed, structure_of
from lucaflow.downstream.models import FAMILY, HeadFiles, read_head
from lucaflow.downstream.networks import Head
from lucaflow.downstream.structure import HeadStructure
from lucaflow.encoders.lucaone import Block
from lucaflow.encoders.onednn import can_pack, pack
from lucaflow.errors import CheckpointError
from lucaflow.files.json_files import parse_json

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


def convert(files: HeadFiles, folder: Path) -> dict[str, Any]:
    """Convert a downstream model into a folder; return its record. Raises CheckpointError if it cannot be used."""
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
    content = Content(
        family=FAMILY,
        structure=asdict(structure),
        shapes=shapes_of_ours,
        tensor_of=lambda name: fused(name, tensors),
        described={
            "reading": asdict(head_input),
            "structure": asdict(structure),
            "labels": list(_labels(files, structure)),
            "parameters": sum(math.prod(shape) for shape in shapes_of_ours.values()),
        },
    )
    return write_converted(files, content, folder)


def load_head(folder: Path, device: torch.device | str = "cpu") -> Head:
    """Return a converted downstream model. Raises CheckpointError if its file does not match its record."""
    weights, trained = CheckedWeights.of(folder), read_head(folder)
    with torch.device("meta"):
        head = Head(trained.structure)
    names = list(head.state_dict())
    weights.require(names)
    # Copies: if they stayed memory-mapped, they would keep the file open.
    head.load_state_dict({name: weights.tensor(name).clone() for name in names}, assign=True)
    head = head.to(device).eval().requires_grad_(False)
    return pack_encoders(head) if torch.device(device).type == "cpu" and can_pack() else head


def pack_encoders(head: Head) -> Head:
    """Pack the linear layers of the encoders, if there are any, into the form that is fastest on a processor."""
    for module in head.modules():
        if isinstance(module, Block):
            pack(module)
    return head
