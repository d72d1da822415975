"""Write converted checkpoints with random weights."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, MODEL_NAME
from lucaflow.checkpoints.state_dicts import network_sha256, write_parameters
from lucaflow.encoders.lucaone import EncoderConfig, LucaOne
from lucaflow.files.checksums import size_and_sha256
from lucaflow.files.sealed import sealed
from lucaflow.versions import CONVERSION_VERSION

OF_A_CONVERSION = {"family": LucaOne.family, "origin": {}, "converter_version": CONVERSION_VERSION}


def write_checkpoint(folder: Path, config: EncoderConfig) -> Path:
    """Write a converted checkpoint of an architecture with random weights; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in LucaOne(config).state_dict().items()}
    torch.manual_seed(0)
    half = config.head_size // 2
    frequencies = 10000.0 ** (-torch.arange(half) / half)
    # As many numbers as the largest tensor has.
    random = torch.randn(max(torch.Size(shape).numel() for shape in shapes.values())) * 0.02

    def tensor_of(name: str) -> torch.Tensor:
        shape = shapes[name]
        if name.endswith("inv_freq"):
            return frequencies
        return random[: torch.Size(shape).numel()].view(shape) if len(shape) > 1 else torch.ones(shape)

    model = folder / MODEL_NAME
    digests = write_parameters(model, shapes, tensor_of, {"encoder": json.dumps(asdict(config), sort_keys=True)})
    network = network_sha256(digests, shapes, asdict(config))
    record = {"model": size_and_sha256(model), "network_sha256": network, "sha256_of_parts": digests}
    record |= {**OF_A_CONVERSION, "encoder": asdict(config)}
    (folder / CHECKPOINT_RECORD).write_text(json.dumps(sealed(record)))
    return folder
