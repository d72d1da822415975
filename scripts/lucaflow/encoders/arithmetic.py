"""The arithmetic of matrix products, which torch keeps as settings of the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LIBRARIES = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]


def set_arithmetic(precision: str) -> None:
    """Make products of float32 exact to float32, also on GPUs; `tfloat32` allows TensorFloat32.

    Products of bfloat16 are summed in float32 throughout. By default torch may add the sums of parts of a product in
    bfloat16, and whether there are parts depends on the shape of a batch.
    """
    torch.set_float32_matmul_precision("high" if precision == "tfloat32" else "highest")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Set the arithmetic of a precision, and restore at the end what was set before."""
    reduced = (
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction_split_k,
    )
    name, by_library = _name_of_precision(), [library.fp32_precision for library in _LIBRARIES]
    set_arithmetic(precision)
    try:
        yield
    finally:
        if name is not None:
            torch.set_float32_matmul_precision(name)
        for library, before in zip(_LIBRARIES, by_library, strict=True):
            if library.fp32_precision != before:
                library.fp32_precision = before
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = reduced


def _name_of_precision() -> str | None:
    """Return torch's own name of the precision of float32; None if it was set for each library by itself."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None
