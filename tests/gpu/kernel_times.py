"""Where does the time of a pass go? Kernel times by term, by torch's profiler, and forms of attention."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import networks
import torch
import torch.nn.functional as F
from cases import KERNELS, SMALL, NotHere, arithmetic, proteins
from torch import Tensor
from torch.autograd import DeviceType
from torch.autograd.profiler import profile
from torch.nn.attention import sdpa_kernel
from torch.nn.utils.rnn import pad_sequence

from lucaflow.engine.devices import DTYPE_OF_PRECISION

# Parts of the names of torch's operations. The first term with a part that occurs in a name gets its time.
TERMS = {
    "attention": ("attention", "attn"),
    "norms": ("layer_norm",),
    "GELU": ("gelu",),
    "products": ("addmm", "aten::mm", "bmm", "matmul", "_linear_pointwise"),
    "rotary": ("aten::mul", "addcmul", "aten::cos", "aten::sin", "aten::sub"),
    "residual sums": ("aten::add",),
    "casts and copies": ("copy_", "_to_copy", "Memcpy", "aten::cat"),
}
OTHER = "the rest"
# Parts of the names of kernels that torch's operations do not start.
OWN_KERNELS = ("triton", "rotat")


def term_of(name: str) -> str:
    return next((term for term, parts in TERMS.items() if any(part in name for part in parts)), OTHER)


def own_times(events: Any, on_gpu: bool) -> dict[str, float]:
    """Return the microseconds of each term, from the averages of a profile.

    On a GPU, times are those of the kernels that an operation starts. Kernels that no operation of torch starts, such
    as Triton's, are found by their own names.
    """
    times: dict[str, float] = defaultdict(float)
    kernels = 0.0
    for event in events:
        if not on_gpu:
            times[term_of(event.key)] += event.self_cpu_time_total
        elif event.device_type == DeviceType.CPU:
            if "::" in event.key and not any(part in event.key for part in OWN_KERNELS):
                times[term_of(event.key)] += event.self_device_time_total
        else:
            kernels += event.self_device_time_total
            if any(part in event.key for part in OWN_KERNELS):
                times["rotary"] += event.self_device_time_total
    if on_gpu:
        times[OTHER] += max(0.0, kernels - sum(times.values()))
    return times


def profiled(work: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Return the microseconds of each term in a function."""
    on_gpu = device.type == "cuda"
    # torch.profiler.profile does the same, but loads torch's compiler.
    with profile(use_device="cuda" if on_gpu else None) as found:
        networks.seconds(work, device)
    return own_times(found.key_averages(), on_gpu)


def terms(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the time of each term: one large batch, and a thousand proteins of many lengths."""
    on_gpu = device.type == "cuda"
    shape = networks.FULL if on_gpu else SMALL
    with arithmetic("bfloat16", device):
        engine = networks.engine_for(shape, "bfloat16", device)
        dtype = DTYPE_OF_PRECISION["bfloat16"]
        peak = networks.product_rate(dtype, device, 8192 if on_gpu else 512)
        sets = {
            "one batch of equal lengths": proteins([330] * (197 if on_gpu else 6)),
            "proteins of many lengths": networks.proteins(1000 if on_gpu else 20),
        }
        for name, sequences in sets.items():
            list(engine.embed(sequences))
            taken = networks.seconds(lambda sequences=sequences: list(engine.embed(sequences)), device)
            times = profiled(lambda sequences=sequences: list(engine.embed(sequences)), device)
            tokens = networks.tokens_of(sequences)
            yield (
                f"**{name}**, {sum(tokens):,} tokens",
                f"{taken:.3f} s, kernels {sum(times.values()) / 1e6:.3f} s",
                True,
            )
            for term, micros in sorted(times.items(), key=lambda item: -item[1]):
                yield term, said(term, micros, sum(times.values()), shape, tokens, peak), True


def said(term: str, micros: float, whole: float, shape: networks.Shape, tokens: Sequence[int], peak: float) -> str:
    """Return a term's share, its nanoseconds per token and layer, and its share of a large product's rate."""
    found = f"{micros / whole:.1%}, {1e3 * micros / sum(tokens) / shape.layers:,.0f} ns a token and layer"
    attention = sum(4.0 * length**2 * shape.hidden_size * shape.layers for length in tokens)
    operations = {"attention": attention, "products": shape.operations(tokens) - attention}
    if term in operations and micros:
        found += f", {operations[term] / micros * 1e6 / peak:.2f} of a large product's rate"
    return found


def forms_of_attention(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the milliseconds of three forms of one layer's attention for sequences of many lengths, in bfloat16."""
    on_gpu = device.type == "cuda"
    lengths = list(range(459, 199, -1)) if on_gpu else list(range(40, 20, -1))
    heads, size = (40, 64) if on_gpu else (2, 64)
    projected = torch.randn(sum(lengths), 3 * heads, size, device=device).to(torch.bfloat16)
    forms: dict[str, Callable[[], Callable[[], object]]] = {
        "a call for each length": lambda: in_runs(projected, lengths),
        "one call with bounds (varlen_attn)": lambda: with_bounds(projected, lengths),
        "padded, with a mask": lambda: padded(projected, lengths),
    }
    for name, form in forms.items():
        with torch.inference_mode():
            try:
                way = form()
                way()
            except (NotHere, ImportError) as error:
                yield name, str(error), True
                continue
            milliseconds = 1e3 * statistics.median(networks.seconds(way, device) for _ in range(10))
        yield name, f"{milliseconds:.2f} ms", True


def in_runs(projected: Tensor, lengths: Sequence[int]) -> Callable[[], object]:
    """Return what calls attention for each length and copies the result, as a block does."""
    mixed = torch.empty_like(projected[:, : projected.shape[1] // 3])

    def way() -> None:
        parts = zip(projected.split(lengths), mixed.split(lengths), strict=True)
        with sdpa_kernel(KERNELS[projected.device.type]):
            for part, output in parts:
                q, k, v = part[None].transpose(1, 2).chunk(3, dim=1)
                output.copy_(F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1))

    return way


def with_bounds(projected: Tensor, lengths: Sequence[int]) -> Callable[[], object]:
    if projected.device.type == "cpu":
        raise NotHere("needs a GPU")
    from torch.nn.attention.varlen import varlen_attn  # older versions of torch have none

    bounds = torch.tensor([0, *lengths]).cumsum(0).to(projected.device, torch.int32)
    q, k, v = projected.chunk(3, dim=1)
    return lambda: varlen_attn(q, k, v, bounds, bounds, max(lengths), max(lengths), num_splits=1)


def padded(projected: Tensor, lengths: Sequence[int]) -> Callable[[], object]:
    q, k, v = (pad_sequence(x.split(lengths), True).transpose(1, 2) for x in projected.chunk(3, dim=1))
    valid = torch.arange(max(lengths), device=q.device) < torch.tensor(lengths, device=q.device)[:, None]
    return lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=valid[:, None, None, :])
