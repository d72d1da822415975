"""With which weights does a training begin?

Each parameter depends on the seed and on its own name, so that its values are the same on every machine. Their spread
is LucaOneTasks', whose own initial weights have no seed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lucaflow.downstream.networks import Head
from lucaflow.downstream.structure import HeadStructure
from lucaflow.encoders.attention import SelfAttention
from lucaflow.training.order import generator_of

_STD_OF_LAYERS, _STD_OF_POOLINGS = 0.02, 0.01
_ROTARY_BASE = 10000


def new_head(structure: HeadStructure, seed: int) -> Head:
    """Return an untrained network, in float32."""
    with torch.device("meta"):
        head = Head(structure)
    head = head.to_empty(device="cpu")
    for prefix, module in head.named_modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            continue
        if isinstance(module, SelfAttention) and module.rotary:
            size = 2 * len(module.inv_freq)
            module.inv_freq.copy_(rotary_frequencies(size))
        std = _STD_OF_LAYERS if isinstance(module, nn.Linear) else _STD_OF_POOLINGS
        for name, parameter in module.named_parameters(recurse=False):
            _fill(parameter, 0.0 if name == "bias" else std, seed, f"{prefix}.{name}")
    return head


def rotary_frequencies(size: int) -> Tensor:
    """Return the frequencies (size / 2,) of the rotary positions of heads of `size` channels."""
    return 1.0 / (_ROTARY_BASE ** (torch.arange(0, size, 2).float() / size))


@torch.no_grad()
def _fill(parameter: Tensor, std: float, seed: int, name: str) -> None:
    if std == 0:
        parameter.zero_()
        return
    values = generator_of("weights", seed, name).standard_normal(parameter.numel())
    parameter.copy_(torch.from_numpy(values).mul_(std).view(parameter.shape))
