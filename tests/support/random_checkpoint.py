"""Write converted checkpoints with random weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import torch

from lucaflow.checkpoints.conversion import Content, write_converted
from lucaflow.encoders.lucaone import EncoderConfig, LucaOne


def write_checkpoint(folder: Path, config: EncoderConfig) -> Path:
    """Write a converted checkpoint of an architecture with random weights; return its folder."""
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

    content = Content(LucaOne.family, asdict(config), shapes, tensor_of, {"encoder": asdict(config)})
    write_converted(SimpleNamespace(name="random", root=folder, files=(), stated={}), content, folder)
    return folder
