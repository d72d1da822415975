"""Converted checkpoints into memory, on a processor or a GPU, in the precision that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from lucaflow.checkpoints import CONTACT_HEAD, MODEL_NAME, read_record
from lucaflow.encoder import Block, ContactHead, Encoder, EncoderConfig
from lucaflow.errors import CheckpointError
from lucaflow.files import sha256_of
from lucaflow.products import can_pack, pack


def load_encoder(folder: Path, device: torch.device | str = "cpu", arithmetic: torch.dtype = torch.float32) -> Encoder:
    """Load a converted checkpoint for embedding; matrix products run in `arithmetic`, norms in float32.

    The file is memory-mapped, and read a block at a time on the way to the device or, on a processor, into the form
    its products are fastest in, so that at no time more than one block is held twice.
    """
    config = _sound_config(folder)
    with torch.device("meta"):
        encoder = Encoder(config)
    names = [name for name in encoder.state_dict() if not name.startswith("layers.")]
    _load_part(encoder, folder, names, "", device, arithmetic)
    packs = torch.device(device).type == "cpu" and can_pack()
    for number, block in enumerate(encoder.layers):
        _load_part(block, folder, list(block.state_dict()), f"layers.{number}.", device, arithmetic)
        if packs and isinstance(block, Block):
            pack(block)
    return encoder.eval().requires_grad_(False)


def _load_part(
    module: nn.Module,
    folder: Path,
    names: Iterable[str],
    prefix: str,
    device: torch.device | str,
    arithmetic: torch.dtype,
) -> None:
    """Give a part of the network its parameters, by the names they have within it."""
    state = {}
    with safe_open(folder / MODEL_NAME, "pt") as file:
        for name in names:
            dtype = arithmetic if is_product(prefix + name) else torch.float32
            state[name] = file.get_tensor(prefix + name).to(device, dtype, copy=True)
    module.load_state_dict(state, strict=False, assign=True)


def load_contact_head(folder: Path, device: torch.device | str = "cpu") -> ContactHead:
    """Load the contact head of a converted checkpoint. Raises CheckpointError where it has none."""
    config = _sound_config(folder)
    with safe_open(folder / MODEL_NAME, "pt") as file:
        weights = {
            name.removeprefix(CONTACT_HEAD): file.get_tensor(name).clone()
            for name in file.keys()  # noqa: SIM118 - not a mapping
            if name.startswith(CONTACT_HEAD)
        }
    if not weights:
        raise CheckpointError(f"the checkpoint in {folder} has no contact head: take `contacts` out of the outputs")
    head = ContactHead(config)
    head.load_state_dict(weights)
    return head.to(device).eval().requires_grad_(False)


def is_product(name: str) -> bool:
    """Say whether a parameter is one of the matrix products', which take a lower precision."""
    return re.search(r"\.(qkv_proj|out_proj|fc1|fc2)\.", name) is not None


def _sound_config(folder: Path) -> EncoderConfig:
    """Return the architecture of a converted checkpoint whose file is what its record says."""
    record = read_record(folder)
    path = folder / MODEL_NAME
    state = path.stat() if path.is_file() else None
    if state is None or state.st_size != record["model"]["bytes"]:
        raise CheckpointError(
            f"{path} has {state.st_size if state else 'no'} bytes, expected {record['model']['bytes']}. "
            f"Delete {folder} and run again."
        )
    if (digest := _digest_once(path, state.st_size, state.st_mtime_ns)) != record["model"]["sha256"]:
        raise CheckpointError(
            f"{path} is damaged: its digest is {digest}, expected {record['model']['sha256']}. Run `snakemake verify`, "
            "which removes what is damaged, and then `snakemake fetch`."
        )
    return EncoderConfig(**record["encoder"])


@cache
def _digest_once(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001
    """Return the digest of a file, which is read once as long as its size and time of change stay the same."""
    return sha256_of(path)
