"""Matrix products on x86 processors, by oneDNN with weights in oneDNN's own layout.

On x86, torch's own float32 product may run at half the speed of the processor, because torch uses a library that is
tuned for one vendor. With oneDNN, the activation after a product costs nothing, because it is part of the product.
If a processor has no bfloat16 instructions, bfloat16 numbers are multiplied in float32, which holds their products
exactly, and rounded to bfloat16 as the instructions round them. That is five times as fast as emulating them.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from lucaflow.encoders.arithmetic import arithmetic
from lucaflow.encoders.dnabert2 import GatedBlock
from lucaflow.encoders.lucaone import Block
from lucaflow.errors import DeviceError

# As a share of a product's largest value. Float32 errors are near 1e-7, those of lower precisions above 1e-4.
_LARGEST_FLOAT32_ERROR = 1e-5
# Environment variables that make products of float32 run in a lower precision, whatever torch asks for.
_FORCING_VARIABLES = {
    "cpu": "DNNL_DEFAULT_FPMATH_MODE and ONEDNN_DEFAULT_FPMATH_MODE",
    "cuda": "NVIDIA_TF32_OVERRIDE",
}
_BFLOAT16_INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16"})


def can_pack() -> bool:
    """Return whether this machine has oneDNN's products for x86."""
    return platform.machine().lower() in ("x86_64", "amd64") and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


@cache
def has_bfloat16() -> bool:
    """Return whether Linux lists bfloat16 instructions for this processor."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and not _BFLOAT16_INSTRUCTIONS.isdisjoint(cpuinfo.read_text().split())


class PackedLinear(nn.Linear):
    """A linear layer with packed weights, followed by GELU if `activation` is "gelu"."""

    def __init__(self, linear: nn.Linear, activation: str = "none") -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.dtype = linear.weight.dtype
        product_dtype = torch.float32 if self.dtype == torch.bfloat16 and not has_bfloat16() else self.dtype
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(product_dtype))
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.product_dtype = product_dtype
        bias = None if linear.bias is None else linear.bias.detach().to(product_dtype, copy=True)
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))
        self.activation: tuple[str, list[float], str] = activation, [], "none" if activation == "gelu" else ""

    def forward(self, x: Tensor) -> Tensor:
        """Map (T, inputs) to (T, outputs), rounded to the type of the original weights."""
        x = x.to(self.dtype).to(self.product_dtype)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, *self.activation).to(self.dtype)


def has_activation(module: nn.Module) -> bool:
    """Return whether a module gives an activation of its products rather than the products."""
    return isinstance(module, PackedLinear) and module.activation[0] != "none"


def pack(block: Block | GatedBlock) -> None:
    """Pack the linear layers of a block on the processor, in place."""
    attention = block.self_attn
    attention.qkv_proj = PackedLinear(attention.qkv_proj)
    attention.out_proj = PackedLinear(attention.out_proj)
    if isinstance(block, GatedBlock):
        block.gate = PackedLinear(block.gate, activation="gelu")
        block.fc1 = PackedLinear(block.fc1)
    else:
        block.fc1 = PackedLinear(block.fc1, activation="gelu")
    block.gelu = nn.Identity()
    block.fc2 = PackedLinear(block.fc2)


def check_product_precision(linear: nn.Linear, product: nn.Module) -> None:
    """Raise DeviceError if `product`, a float32 version of `linear`, is less precise than float32 on its device.

    16 rows are compared with float64. TensorFloat32 is off meanwhile; only a setting outside of torch can force it.
    """
    rows = linear.weight[:16]
    exact = rows.double() @ linear.weight.double().T
    if linear.bias is not None:
        exact += linear.bias.double()
    with arithmetic("float32"):
        found = product(rows)
    error = ((found - exact).abs().max() / exact.abs().max()).item()
    if not error < _LARGEST_FLOAT32_ERROR:
        kind = rows.device.type
        raise DeviceError(
            f"float32 products on this {'processor' if kind == 'cpu' else 'GPU'} are off by {error:.1g} of their "
            f"largest value, expected less than {_LARGEST_FLOAT32_ERROR:g}. A setting makes them run in a lower "
            f"precision. Unset {_FORCING_VARIABLES[kind]}, or set embedding.precision to `bfloat16`."
        )
