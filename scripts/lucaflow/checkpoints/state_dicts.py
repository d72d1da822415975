"""Read the parameters of a network from files as plain tensors, rename and check them, and write safetensors."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lucaflow.errors import CheckpointError
from lucaflow.files.json_files import digest_of_settings
from lucaflow.files.space import human_bytes

# Key of the header among the SHA-256 of the parts of a safetensors file. No tensor may have this name.
HEADER = "__metadata__"

_PROJECTIONS = ("q_proj", "k_proj", "v_proj")
_FIRST_LAYER = re.compile(r"((?:.*\.)?layers\.)0\.")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors, memory-mapped if possible. Raises CheckpointError if it is not a plain state dict."""
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
    # For damaged files the two libraries raise many kinds of errors: fuzzing finds ten.
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise MemoryError(str(error)) from error
        raise CheckpointError(
            f"{path} is damaged, or holds more than plain tensors; no code in it was run. Fetch it again. ({error})"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise CheckpointError(f"{path} is not a state dict (a table of names and tensors). No code in it was run.")
    _refuse_unbacked(state, path)
    return {name: value.detach() for name, value in state.items()}


def _refuse_unbacked(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise CheckpointError for a tensor whose shape has more values than the file holds for it.

    torch can save such tensors: a single number for a row of any length.
    """
    for name, tensor in state.items():
        if tensor.layout == torch.strided and tensor.nbytes > (held := tensor.untyped_storage().nbytes()):
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, which is {human_bytes(tensor.nbytes)}, but the file "
                f"holds {human_bytes(held)} of it. Fetch it again."
            )


def _refuse_compressed(path: Path) -> None:
    """Raise CheckpointError for an archive that grows when unpacked: torch stores state dicts uncompressed."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    inside, size = sum(member.file_size for member in members), path.stat().st_size
    if inside > size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError(
            f"{path} is a compressed archive: {human_bytes(size)} would become {human_bytes(inside)}. torch writes no "
            "such file. No code in it was run; fetch it again."
        )


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def published_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network of LucaFlow under the published names: query, key and value are separate."""
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        if ".qkv_proj." in name:
            third = (shape[0] // 3, *shape[1:])
            found |= {name.replace("qkv_proj", projection): third for projection in _PROJECTIONS}
        else:
            found[name.replace(".inv_freq", ".rot_emb.inv_freq")] = shape
    return found


def repeated(shapes: Mapping[str, tuple[int, ...]], layers: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network with `layers` equal layers, in their order, from those of one with a single layer.

    So a network with many layers need not be built to know its shapes.
    """
    found: dict[str, tuple[int, ...]] = {}
    for prefix, names in groupby(shapes, lambda name: (match := _FIRST_LAYER.match(name)) and match[1]):
        of_part = list(names)
        numbers = range(layers) if prefix else [0]
        for number in numbers:
            for name in of_part:
                found[f"{prefix}{number}{name.removeprefix(f'{prefix}0')}" if prefix else name] = shapes[name]
    return found


def misfits(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return a line for each tensor that is missing, unknown, of a wrong shape or not of floating point numbers."""
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


def first_problems(problems: list[str], shown: int = 10) -> str:
    more = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
    return "; ".join(problems[:shown]) + more


def fused(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the parameter `name` of a network of LucaFlow in float32, from tensors under the published names."""
    if ".qkv_proj." in name:
        return torch.cat([tensors[name.replace("qkv_proj", projection)].float() for projection in _PROJECTIONS])
    return tensors[name.replace(".inv_freq", ".rot_emb.inv_freq")].float()


def write_parameters(
    path: Path, shapes: Mapping[str, Sequence[int]], tensor_of: Callable[[str], Tensor], metadata: dict[str, str]
) -> dict[str, str]:
    """Write float32 tensors as a safetensors file, with one tensor in memory at a time.

    Returns the hex SHA-256 of each part of the file: of the header by the key HEADER, of each tensor by its name.
    `safetensors.torch.save_file` needs all tensors at once, which for LucaOne takes a third more memory than its
    weights. Raises CheckpointError that names the tensors with values that are not finite.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    stop = 0
    for name, shape in shapes.items():
        start, stop = stop, stop + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, stop]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    start_of_file = struct.pack("<Q", len(text)) + text
    digests, bad = {HEADER: hashlib.sha256(start_of_file).hexdigest()}, []
    with path.open("wb") as file:
        file.write(start_of_file)
        for name in shapes:
            tensor = tensor_of(name).contiguous()
            if not torch.isfinite(tensor).all():
                bad.append(name)
            digests[name] = sha256_of_tensor(tensor)
            file.write(tensor.numpy().data)
    if bad:
        raise CheckpointError(f"the weights hold values that are not finite: {first_problems(bad)}. Fetch them again.")
    return digests


def network_sha256(digests: Mapping[str, str], shapes: Mapping[str, Sequence[int]], structure: Any) -> str:
    """Return the hex SHA-256 of what a network computes: its tensors and its structure, not the file that holds them.

    digests: SHA-256 of each tensor by its name; shapes: likewise; structure: what JSON can hold.
    """
    tensors = {name: [list(shapes[name]), digest] for name, digest in digests.items() if name != HEADER}
    return digest_of_settings({"tensors": tensors, "structure": structure})


def sha256_of_tensor(tensor: Tensor) -> str:
    """Return the hex SHA-256 of the bytes of a contiguous tensor in main memory."""
    return hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy().data).hexdigest()
