"""Load a converted checkpoint onto a CPU or GPU in the requested precision."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from lucaflow.checkpoints.checksums import check_weights
from lucaflow.checkpoints.converted_checkpoint import MODEL_NAME, read_record
from lucaflow.checkpoints.state_dicts import CONTACT_HEAD
from lucaflow.encoders.contacts import ContactHead
from lucaflow.encoders.lucaone import Block, Encoder, EncoderConfig
from lucaflow.encoders.onednn import can_pack, check_product_precision, pack
from lucaflow.errors import CheckpointError


def load_encoder(
    folder: str | Path, device: torch.device | str = "cpu", arithmetic: torch.dtype = torch.float32
) -> Encoder:
    """Load a converted checkpoint for embedding; matrix products run in `arithmetic`, norms in float32.

    The file is memory-mapped and read one block at a time. Each block goes to the GPU or, on a CPU, into the layout in
    which its matrix products are fastest, so that never more than one block is in memory twice. A second thread
    computes the checksum of the file meanwhile. Raises CheckpointError for a file that does not fit its record.

    >>> (folder,) = Path("resources/checkpoints").glob("mini-1-*")
    >>> encoder = load_encoder(folder)
    >>> encoder.config.num_hidden_layers, encoder.config.hidden_size
    (6, 128)
    """
    folder = Path(folder)
    config = _recorded_config(folder)
    with ThreadPoolExecutor(1, thread_name_prefix="checksum") as pool:
        checked = pool.submit(check_weights, folder)
        try:
            encoder = _load(config, folder, torch.device(device), arithmetic)
        finally:
            # A damaged file may also fail to load: then this is the error to raise.
            checked.result()
    return encoder


def _load(config: EncoderConfig, folder: Path, device: torch.device, arithmetic: torch.dtype) -> Encoder:
    with torch.device("meta"):
        encoder = Encoder(config)
    names = [name for name in encoder.state_dict() if not name.startswith("layers.")]
    _load_part(encoder, folder, names, "", device, arithmetic)
    packs = device.type == "cpu" and can_pack()
    for number, block in enumerate(encoder.layers):
        _load_part(block, folder, list(block.state_dict()), f"layers.{number}.", device, arithmetic)
        if device.type == "cpu" and isinstance(block, Block):
            linear = block.self_attn.out_proj
            if packs:
                pack(block)
            if number == 0 and arithmetic == torch.float32:
                check_product_precision(linear, block.self_attn.out_proj)
    return encoder.eval().requires_grad_(False)


def _load_part(
    module: nn.Module, folder: Path, names: Iterable[str], prefix: str, device: torch.device, arithmetic: torch.dtype
) -> None:
    """Load the parameters of one module. names: their names within the module; prefix: of these names in the file.

    Weights of matrix products may stay memory-mapped, since packing copies them. Other parameters are copied: if they
    stayed mapped, they would keep the file open.
    """
    state = {}
    with safe_open(folder / MODEL_NAME, "pt") as file:
        for name in names:
            product = is_product(prefix + name)
            tensor = file.get_tensor(prefix + name)
            state[name] = tensor.to(device, arithmetic if product else torch.float32, copy=not product)
    module.load_state_dict(state, strict=False, assign=True)


def load_contact_head(folder: Path, device: torch.device | str = "cpu") -> ContactHead:
    """Load the contact head of a converted checkpoint. Raises CheckpointError if it has none."""
    config = _recorded_config(folder)
    check_weights(folder)
    with safe_open(folder / MODEL_NAME, "pt") as file:
        weights = {
            name.removeprefix(CONTACT_HEAD): file.get_tensor(name).clone()
            for name in file.keys()  # noqa: SIM118 - not a mapping
            if name.startswith(CONTACT_HEAD)
        }
    if not weights:
        raise CheckpointError(f"the checkpoint in {folder} has no contact head. Remove `contacts` from the outputs.")
    head = ContactHead(config)
    head.load_state_dict(weights)
    return head.to(device).eval().requires_grad_(False)


def is_product(name: str) -> bool:
    """Return whether a parameter belongs to a matrix product, which may run in lower precision."""
    return re.search(r"\.(qkv_proj|out_proj|fc1|fc2)\.", name) is not None


def _recorded_config(folder: Path) -> EncoderConfig:
    """Return the architecture of a converted checkpoint. Raises CheckpointError for a file of another size."""
    record = read_record(folder)
    path = folder / MODEL_NAME
    state = path.stat() if path.is_file() else None
    if state is None or state.st_size != record["model"]["bytes"]:
        raise CheckpointError(
            f"{path} has {state.st_size if state else 'no'} bytes, expected {record['model']['bytes']}. "
            "Delete it, or run `snakemake verify`, which removes it; `snakemake fetch` then converts it anew."
        )
    return EncoderConfig(**record["encoder"])
