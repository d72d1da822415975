"""Attention of one sequence of 279,000 and 281,000 rows in float32, with strided and with contiguous keys and values.

The queries, keys and values of a block are views of one projection, whose rows have 7,680 numbers. A kernel that counts
places in 32-bit integers goes wrong beyond 2^31 / 7,680 = 279,620 rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import networks
import torch
import torch.nn.functional as F
from cases import KERNELS, NotHere, arithmetic, proteins
from torch import Tensor
from torch.nn.attention import sdpa_kernel

from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import DeviceError

# Two of the 40 heads: more take more time and have the same strides.
HEADS, SIZE, WIDTH = 2, 64, 7680
LARGEST_ERROR = 1e-5
LAST = 32


def cases(device: torch.device) -> list[tuple[int, bool]]:
    """Return the rows, and whether keys and values are contiguous. What may end the process comes last."""
    short, long = (279_000, 281_000) if device.type == "cuda" else (1900, 2100)
    return [(short, True), (short, False), (long, True), (long, False)]


def views(rows: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values (1, HEADS, rows, SIZE) of a random projection (rows, WIDTH)."""
    torch.manual_seed(0)
    needed = 4 * rows * WIDTH
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < 1.3 * needed:
        raise NotHere(f"needs {1.3 * needed / 1e9:.0f} GB of free memory of the GPU")
    projected = torch.empty(rows, 3, WIDTH // 3 // SIZE, SIZE, device=device)
    used = projected[:, :, -HEADS:]  # the last heads, whose places are the largest numbers
    used.normal_()
    q, k, v = used.permute(1, 2, 0, 3)[:, None]
    return q, k, v


def error_of_last_rows(found: Tensor, q: Tensor, k: Tensor, v: Tensor) -> float:
    """Return the error of the last rows of attention against float64, as a share of the largest value."""
    q, k, v = q[..., -LAST:, :].double(), k.double(), v.double()
    exact = (q @ k.transpose(-1, -2) * SIZE**-0.5).softmax(-1) @ v
    return ((found[..., -LAST:, :] - exact).abs().max() / exact.abs().max()).item()


def attention(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield what was computed, what was found, and whether it is right.

    The library never gives the kernel strided keys and values of long sequences: there, what is found is only told.
    """
    for rows, contiguous in cases(device):
        name = f"float32, {rows:,} rows, keys and values {'contiguous' if contiguous else 'strided'}"
        matters = contiguous or rows * WIDTH < 2**31
        try:
            error = attention_error(rows, contiguous, device)
        except RuntimeError as problem:
            if matters:
                raise
            yield name, f"{str(problem).splitlines()[0]} (not used)", True
        else:
            yield name, f"error {error:.1e}{'' if matters else ' (not used)'}", error < LARGEST_ERROR or not matters


def attention_error(rows: int, contiguous: bool, device: torch.device) -> float:
    q, k, v = views(rows, device)
    if contiguous:
        k, v = k.contiguous(), v.contiguous()
    with torch.inference_mode(), sdpa_kernel(KERNELS[device.type]):
        found = F.scaled_dot_product_attention(q, k, v)
    return error_of_last_rows(found, q, k, v)


def one_layer(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the same for one layer of the library and a sequence as long, against bfloat16."""
    rows, _ = cases(device)[-1]
    shape = networks.Shape("one layer", 1, 2560, 40) if device.type == "cuda" else networks.Shape("one layer", 1, 64, 1)
    name = f"one layer {shape.hidden_size} wide, a sequence of {rows:,}"
    found = {}
    for precision in ("bfloat16", "float32"):
        with arithmetic(precision, device):
            encoder = networks.prepare(networks.random_encoder(shape, device), precision)
            wanted = EmbeddingOptions(precision=precision, outputs=("mean", "cls"))
            try:
                (batch,) = Engine(encoder, wanted, device, 1).embed(proteins([rows - 2]))
            except DeviceError as error:
                yield f"{name}, {precision}", f"refused: {error}", True
                return
        found[precision] = [torch.from_numpy(batch.vectors[name]) for name in ("mean", "cls")]
    pairs = zip(found["float32"], found["bfloat16"], strict=True)
    error = max(((one - other).abs().max() / one.abs().max()).item() for one, other in pairs)
    yield name, f"float32 and bfloat16 differ by {error:.1e}", error < 3e-2
