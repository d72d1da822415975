"""Load a converted checkpoint onto a CPU or GPU in the requested precision."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lucaflow.checkpoints.architecture import refuse_unconfirmed
from lucaflow.checkpoints.checked_weights import ANEW, CheckedWeights
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, HEAD_ENTRY, HEAD_NAME, read_record
from lucaflow.checkpoints.named import folder_of
from lucaflow.encoders.attention import share_frequencies
from lucaflow.encoders.contacts import CONTACT_HEAD, ContactHead
from lucaflow.encoders.dnabert2 import GatedBlock
from lucaflow.encoders.families import recorded_family
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.language_model import LanguageModelHead
from lucaflow.encoders.lucaone import Block
from lucaflow.encoders.onednn import can_pack, check_product_precision, has_activation, pack
from lucaflow.encoders.pass_plan import refuse_other_devices
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import size_and_sha256


def load_encoder(
    checkpoint: str | Path, device: torch.device | str = "cpu", arithmetic: torch.dtype = torch.float32
) -> Encoder:
    """Load a converted checkpoint for embedding; matrix products run in `arithmetic`, norms in float32.

    checkpoint: its folder, or its name: `mini`, or one such as `lucaone` that the workflow has converted into
    resources/checkpoints of the working directory or of the clone.

    The file is memory-mapped and read once: a pool of threads compares each tensor with its recorded SHA-256; then it
    goes to the GPU or, on a CPU, into the layout in which its matrix products are fastest. So never more than a few
    blocks are in memory twice. Raises CheckpointError for a file that does not fit its record, and DeviceError for a
    device that is neither a processor nor `cuda`, or whose float32 products are less precise than float32.

    >>> encoder = load_encoder("mini")
    >>> encoder.config.num_hidden_layers, encoder.config.hidden_size
    (6, 128)
    """
    device = torch.device(device)
    refuse_other_devices(device)
    folder = folder_of(checkpoint)
    weights = CheckedWeights.of(folder)
    network, config = _architecture_of(weights)
    with torch.device("meta"):
        encoder = network(config)
    used = list(encoder.state_dict())
    weights.require(used)
    # Blocks come first. Tensors that embedding does not use, those of a contact head, are only checked.
    names = dict.fromkeys([*(name for name in used if name.startswith("layers.")), *weights.shapes])
    with ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="checksum") as pool:
        tensors = {name: pool.submit(weights.tensor, name) for name in names}
        try:
            _fill(encoder, tensors, device, arithmetic)
            for unused in tensors.values():
                unused.result()
        finally:
            pool.shutdown(cancel_futures=True)
    share_frequencies(encoder)
    encoder.folder = folder
    return encoder.eval().requires_grad_(False)


def _architecture_of(weights: CheckedWeights) -> tuple[type[Encoder], Any]:
    """Return the family of a converted encoder, and its numbers. Raises CheckpointError if the weights confirm none."""
    path = weights.folder / CHECKPOINT_RECORD
    try:
        network = recorded_family(weights.record["family"])
    except ValueError as error:
        raise CheckpointError(f"{path} is not that of an encoder: {error}. Give the folder of an encoder.") from error
    try:
        config = network.architecture(**weights.record["encoder"])
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} does not describe a network: {error}. {ANEW}.") from error
    refuse_unconfirmed(network, config, weights.shapes, path, ANEW)
    return network, config


def _fill(encoder: Encoder, tensors: dict[str, Future[Tensor]], device: torch.device, arithmetic: torch.dtype) -> None:
    """Move tensors into an encoder, one block at a time, and pack the blocks on a processor."""
    others = [name for name in encoder.state_dict() if not name.startswith("layers.")]
    packs = device.type == "cpu" and can_pack()
    for number, block in enumerate(encoder.layers):
        _fill_part(block, tensors, list(block.state_dict()), f"layers.{number}.", device, arithmetic)
        linears = {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}
        if packs and isinstance(block, Block | GatedBlock):
            pack(block)
        if linears and number == 0 and arithmetic == torch.float32:
            plain = [name for name in linears if not has_activation(block.get_submodule(name))]
            smallest = min(plain, key=lambda name: linears[name].weight.numel())
            check_product_precision(linears[smallest], block.get_submodule(smallest))
    _fill_part(encoder, tensors, others, "", device, arithmetic)


def _fill_part(
    module: nn.Module,
    tensors: dict[str, Future[Tensor]],
    names: Iterable[str],
    prefix: str,
    device: torch.device,
    arithmetic: torch.dtype,
) -> None:
    """Move tensors into one module. names: their names within the module; prefix: of these names in the file.

    Weights of matrix products may stay memory-mapped, since packing copies them. Other parameters are copied: if they
    stayed mapped, they would keep the file open.
    """
    state = {}
    for name in names:
        product = is_product(prefix + name)
        tensor = tensors.pop(prefix + name).result()
        state[name] = tensor.to(device, arithmetic if product else torch.float32, copy=not product)
    module.load_state_dict(state, strict=False, assign=True)


def load_contact_head(folder: Path, device: torch.device | str = "cpu") -> ContactHead:
    """Load the contact head of a converted checkpoint. Raises CheckpointError if it has none."""
    weights = CheckedWeights.of(folder)
    network, config = _architecture_of(weights)
    prefix = f"{CONTACT_HEAD}."
    state = {
        name.removeprefix(prefix): weights.tensor(name).clone() for name in weights.shapes if name.startswith(prefix)
    }
    if not state:
        raise CheckpointError(f"the checkpoint in {folder} has no contact head. Remove `contacts` from the outputs.")
    head = cast(ContactHead, network.heads[CONTACT_HEAD](config))
    head.load_state_dict(state)
    return head.to(device).eval().requires_grad_(False)


def load_language_model_head(folder: Path, device: torch.device | str = "cpu") -> LanguageModelHead:
    """Load the head of the language model of a converted checkpoint; it computes in float32.

    Raises CheckpointError with the reason if the checkpoint has none, and if its file does not fit its record.
    """
    record = read_record(folder)
    network, config = _architecture_of(CheckedWeights.of(folder))
    entry, path = record.get(HEAD_ENTRY), folder / HEAD_NAME
    if entry is None:
        raise CheckpointError(
            f"{folder} was converted by an earlier version of LucaFlow, which left out the head of the language model. "
            "Run `snakemake fetch`, which adds it from the published files, and leaves the rest as it is."
        )
    if "reason" in entry:
        raise CheckpointError(
            f"the checkpoint in {folder} gives no scores of a language model: {entry['reason']}. Use another model, "
            "or leave out the scores."
        )
    if not path.is_file() or size_and_sha256(path) != {key: entry[key] for key in ("bytes", "sha256")}:
        raise CheckpointError(
            f"{path} is missing or damaged: expected {entry['bytes']} bytes of SHA-256 {entry['sha256']}. Delete it, "
            "and run `snakemake fetch`, which converts it anew."
        )
    with torch.device("meta"):
        head = cast(LanguageModelHead, network.language_model_head(config))
    # Copies: if they stayed memory-mapped, they would keep the file open.
    head.load_state_dict({name: tensor.clone() for name, tensor in load_file(path).items()}, assign=True)
    return head.to(device).eval().requires_grad_(False)


def is_product(name: str) -> bool:
    """Return whether a parameter belongs to a matrix product, which may run in lower precision."""
    return re.search(r"\.(qkv_proj|out_proj|gate|fc1|fc2)\.", name) is not None
