"""Turning a published checkpoint into safetensors, once, with a record of where it came from.

The result holds the embedding part alone, in float32, with query, key and value projections fused. A pickled state
dict is opened by torch's restricted loader, which runs nothing that the file may contain.
"""

from __future__ import annotations

import datetime
import json
import logging
import math
import multiprocessing
import os
import re
import resource
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lucaflow import __version__
from lucaflow.checkpoints.layouts import CHECKPOINT_RECORD, CONTACT_HEAD, MODEL_NAME, Model, Origin, read_record
from lucaflow.encoders.contacts import ContactHead
from lucaflow.encoders.lucaone import Encoder, EncoderConfig
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import describe
from lucaflow.files.json_files import parse_json
from lucaflow.files.space import human_bytes
from lucaflow.files.writing import replacing, write_json
from lucaflow.versions import CHECKPOINT_CONVERSION_VERSION

logger = logging.getLogger(__name__)

# Parts of the training model that embedding does not need.
_DROPPED = re.compile(r"(lm_head|hidden_layer_list|classifier_list)\.")
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")

# What torch takes besides the weights, its threads' stacks among it.
_MEMORY_OF_TORCH = 8_000_000_000

# What a Hugging Face config.json means where it is silent: that port's defaults, which differ from LucaOne's.
_HUGGINGFACE_DEFAULTS = {
    "token_dropout": False,
    "use_embed_layer_norm": False,
    "no_position_embeddings": True,
}


def read_config(origin: Origin) -> EncoderConfig:
    """Return the architecture that config.json states."""
    try:
        stated = parse_json(origin.config)
        defaults = _HUGGINGFACE_DEFAULTS if origin.layout == "huggingface" else {}
        known = {field.name for field in fields(EncoderConfig)}
        return EncoderConfig(**{key: value for key, value in {**defaults, **stated}.items() if key in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{origin.config} does not describe a LucaOne model: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors, memory-mapped. Raises CheckpointError for anything but a plain state dict."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Only the zipped format, which torch writes by default, can be mapped into memory.
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _refuse_compressed(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except CheckpointError:
        raise
    # Whatever a damaged file makes the two libraries raise: fuzzing finds ten kinds.
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise MemoryError(str(error)) from error
        raise CheckpointError(
            f"{path} is damaged, or holds more than plain tensors; nothing in it was run. Fetch it again. ({error})"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise CheckpointError(f"{path} is not a state dict (a table of names and tensors). Nothing in it was run.")
    return {name: value.detach() for name, value in state.items()}


def _refuse_compressed(path: Path) -> None:
    """Raise CheckpointError for an archive that would grow: torch stores a state dict as it is."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    inside, size = sum(member.file_size for member in members), path.stat().st_size
    if inside > size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError(
            f"{path} is a compressed archive: {human_bytes(size)} would become {human_bytes(inside)}. torch writes no "
            "such file. Nothing in it was run; fetch it again."
        )


def canonical_name(key: str, layout: str) -> str:
    """Return LucaOne's name of a parameter, without the prefixes that training and porting left."""
    key = key.removeprefix("module.")
    if layout == "huggingface":
        key = re.sub(r"^(embeddings|encoder)\.", "", key.removeprefix("lucaone."))
    return key


def expected_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that a checkpoint of this architecture must hold, by LucaOne's names."""
    with torch.device("meta"):
        return published_shapes(Encoder(config).state_dict())


def published_shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a state dict of ours by the names that are published: query, key and value apart."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in state.items():
        if ".qkv_proj." in name:
            third = (tensor.shape[0] // 3, *tensor.shape[1:])
            shapes |= {name.replace("qkv_proj", projection): third for projection in _PROJECTIONS}
        else:
            shapes[name.replace(".inv_freq", ".rot_emb.inv_freq")] = tuple(tensor.shape)
    return shapes


def _merge(tensors: dict[str, Tensor], path: Path, layout: str) -> None:
    """Add the tensors of one file by LucaOne's names, of which each may occur once."""
    for key, value in read_tensors(path).items():
        name = canonical_name(key, layout)
        if name in tensors:
            raise CheckpointError(f"{path}: {key} is there twice, as {name}. Fetch the files again, from one place.")
        tensors[name] = value


def check(tensors: Mapping[str, Tensor], config: EncoderConfig, where: Path) -> None:
    """Raise CheckpointError that lists all missing, unknown, misshapen and unusable tensors."""
    layers = len({name.split(".")[1] for name in tensors if name.startswith("layers.")})
    if layers != config.num_hidden_layers:
        raise CheckpointError(
            f"{where / 'config.json'} and its weights do not fit: num_hidden_layers is {config.num_hidden_layers}, but "
            f"the weights hold {layers}. Fetch both again, from one place."
        )
    expected = expected_shapes(config)
    if any(name.startswith(CONTACT_HEAD) for name in tensors):
        expected |= contact_head_shapes(config)
    problems = misfits(tensors, expected)
    if problems:
        raise CheckpointError(
            f"the weights in {where} do not fit its config.json "
            f"({config.num_hidden_layers} layers, hidden size {config.hidden_size}, "
            f"{config.num_attention_heads} heads): {first_of(problems)}. Fetch both again, from one place."
        )


def misfits(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return what keeps tensors from being the parameters of a network: missing, unknown, misshapen or no numbers."""
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [f"{name} is not part of the network" for name in tensors if name not in expected]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)}, expected {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    problems += [
        f"{name} holds {tensor.dtype} ({tensor.layout}, {tensor.device}), expected floating point numbers"
        for name, tensor in tensors.items()
        if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.device.type != "cpu"
    ]
    return problems


def first_of(problems: list[str], shown: int = 10) -> str:
    more = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
    return "; ".join(problems[:shown]) + more


def contact_head_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the contact head, which a checkpoint may have as well."""
    with torch.device("meta"):
        return {CONTACT_HEAD + name: tuple(tensor.shape) for name, tensor in ContactHead(config).state_dict().items()}


def converted_bytes(origin: Origin) -> int:
    """Return how large the converted checkpoint will be."""
    config = read_config(origin)
    shapes = [*expected_shapes(config).values(), *contact_head_shapes(config).values()]
    return 4 * sum(math.prod(shape) for shape in shapes)


def fused(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the parameter that `Encoder` calls `name`, from tensors by LucaOne's names, in float32."""
    if ".qkv_proj." in name:
        return torch.cat([tensors[name.replace("qkv_proj", projection)].float() for projection in _PROJECTIONS])
    return tensors[name.replace(".inv_freq", ".rot_emb.inv_freq")].float()


def write_parameters(
    path: Path, shapes: Mapping[str, Sequence[int]], tensor_of: Callable[[str], Tensor], metadata: dict[str, str]
) -> None:
    """Write float32 tensors as a safetensors file, holding one of them at a time.

    `safetensors.torch.save_file` wants all at once, which for LucaOne takes a third more memory than its weights.
    Raises CheckpointError that names the tensors whose values are not finite.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    stop = 0
    for name, shape in shapes.items():
        start, stop = stop, stop + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, stop]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    bad = []
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in shapes:
            tensor = tensor_of(name).contiguous()
            if not torch.isfinite(tensor).all():
                bad.append(name)
            file.write(tensor.numpy().data)
    if bad:
        raise CheckpointError(f"the weights hold values that are not finite, in {first_of(bad)}. Fetch them again.")


def convert_apart(origin: Origin, model: Model, folder: Path) -> dict[str, Any]:
    """Do as `convert` does in a process of its own, whose memory is bounded by the size of the files.

    Raises CheckpointError, also when that process is ended from outside.
    """
    size = sum(path.stat().st_size for path in origin.files)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_bound_memory, initargs=(3 * size + _MEMORY_OF_TORCH,)) as pool:
        try:
            return pool.submit(convert, origin, model, folder).result()
        except (BrokenProcessPool, MemoryError) as error:
            raise CheckpointError(
                f"the process that read {', '.join(path.name for path in origin.weights)} in {origin.config.parent} "
                f"was ended ({type(error).__name__}), most likely for lack of memory: it takes about as much as the "
                f"files, {human_bytes(size)}."
            ) from error


def _bound_memory(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def is_converted(origin: Origin, folder: Path) -> bool:
    """Say whether `folder` holds a sound conversion of the same files."""
    try:
        record = read_record(folder)
    except CheckpointError:
        return False
    model = folder / MODEL_NAME
    return (
        record.get("converter_version") == CHECKPOINT_CONVERSION_VERSION
        and {Path(name).name: entry for name, entry in record.get("origin", {}).items()}
        == {path.name: describe(path) for path in origin.files}
        and model.is_file()
        and describe(model) == record["model"]
    )


def convert(origin: Origin, model: Model, folder: Path) -> dict[str, Any]:
    """Write `folder`/model.safetensors and checkpoint.json; return the record.

    What lies in the same directory of checkpoints is named relative to it, so that the directory may be moved.
    """
    config = read_config(origin)
    tensors: dict[str, Tensor] = {}
    for path in origin.weights:
        logger.info("reading %s", path)
        _merge(tensors, path, origin.layout)
    tensors = {key: value for key, value in tensors.items() if not _DROPPED.match(key)}
    check(tensors, config, origin.config.parent)
    contact = sorted(key for key in tensors if key.startswith(CONTACT_HEAD))
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Encoder(config).state_dict().items()}
    target = folder / MODEL_NAME
    with replacing(target) as temporary:
        write_parameters(
            temporary,
            shapes | {name: tensors[name].shape for name in contact},
            lambda name: tensors[name].float() if name in contact else fused(name, tensors),
            {"encoder": json.dumps(config.to_dict(), sort_keys=True)},
        )
    record = {
        "format": "lucaflow-checkpoint",
        "llm_version": model.llm_version,
        "llm_step": model.llm_step,
        "layout": origin.layout,
        "origin": {_name_from(folder, path): describe(path) for path in origin.files},
        "model": describe(target),
        "encoder": config.to_dict(),
        "parameters": sum(math.prod(shape) for shape in shapes.values()),
        "contact_head": bool(contact),
        "converter_version": CHECKPOINT_CONVERSION_VERSION,
        "lucaflow_version": __version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / CHECKPOINT_RECORD, record, guarded=False)
    return record


def _name_from(folder: Path, path: Path) -> str:
    inside = path.resolve().is_relative_to(folder.parent.resolve())
    return os.path.relpath(path, folder) if inside else str(path)
