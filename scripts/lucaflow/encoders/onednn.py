"""Matrix products on x86 processors, through oneDNN with weights in a layout of its own.

There torch's own float32 product may run at half of what the processor does, since it is left to a library that is
tuned for one vendor; and the activation that follows a product costs nothing when it is done on the way out.
Where a processor has no bfloat16 instructions, bfloat16 numbers are multiplied in float32, which holds their products
exactly, and rounded to bfloat16 as such instructions round: five times as fast as emulating them.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from lucaflow.encoders.lucaone import Block
from lucaflow.errors import DeviceError

# Of a product's largest value; float32 stays near 1e-7 and what has fewer digits above 1e-4.
_TRUE_FLOAT32 = 1e-5
_BFLOAT16_INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16"})


def can_pack() -> bool:
    """Say whether this machine has oneDNN's products for x86."""
    return platform.machine().lower() in ("x86_64", "amd64") and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


@cache
def has_bfloat16() -> bool:
    """Say whether this processor is known to multiply bfloat16 numbers itself, by what Linux says of it."""
    known = Path("/proc/cpuinfo")
    return known.exists() and not _BFLOAT16_INSTRUCTIONS.isdisjoint(known.read_text().split())


class PackedLinear(nn.Linear):
    """What another linear layer computes, and GELU after it if asked for, with packed weights."""

    def __init__(self, linear: nn.Linear, activation: str = "none") -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.rounded_to = linear.weight.dtype
        inside = torch.float32 if self.rounded_to == torch.bfloat16 and not has_bfloat16() else self.rounded_to
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(inside))
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.bias = nn.Parameter(linear.bias.detach().to(inside, copy=True), requires_grad=False)
        self.activation: tuple[str, list[float], str] = activation, [], "none" if activation == "gelu" else ""

    def forward(self, x: Tensor) -> Tensor:
        """Map (T, inputs) to (T, outputs), rounded to the type that the weights had."""
        x = x.to(self.rounded_to).to(self.bias.dtype)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, *self.activation).to(self.rounded_to)


def pack(block: Block) -> None:
    """Put the products of a block on the processor into packed form."""
    attention = block.self_attn
    attention.qkv_proj = PackedLinear(attention.qkv_proj)
    attention.out_proj = PackedLinear(attention.out_proj)
    block.fc1 = PackedLinear(block.fc1, activation="gelu")
    block.gelu = nn.Identity()
    block.fc2 = PackedLinear(block.fc2)


def check_digits(linear: nn.Linear, product: nn.Module) -> None:
    """Raise DeviceError if a float32 product has fewer digits than float32, by comparing some rows with float64."""
    rows = linear.weight[:16]
    exact = rows.double() @ linear.weight.double().T + linear.bias.double()
    error = ((product(rows) - exact).abs().max() / exact.abs().max()).item()
    if not error < _TRUE_FLOAT32:
        raise DeviceError(
            f"float32 products on this processor are off by {error:.1g} of their largest value, expected less than "
            f"{_TRUE_FLOAT32:g}: something makes them run in a lower precision. Unset DNNL_DEFAULT_FPMATH_MODE or "
            "ONEDNN_DEFAULT_FPMATH_MODE if one of them is set, or choose embedding.precision `bfloat16`."
        )
