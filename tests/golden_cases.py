"""Recorded cases of LucaOneApp in LucaFlow's terms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lucaflow.encoder import Encoder
from lucaflow.readers import Columns
from lucaflow.settings import EmbeddingOptions

GOLDEN = Path(__file__).parent / "golden" / "embedding"
TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}


@dataclass(frozen=True)
class GoldenCheckpoint:
    folder: Path
    encoder: Encoder
    arrays: dict[str, np.ndarray]


def options_of(run: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {**defaults, **run["options"]}


def fixed_length(options: dict[str, Any]) -> int | None:
    """LucaOneApp takes 0 and negative lengths as not given."""
    fixed = options["embedding_fixed_len_a_time"]
    return fixed if fixed is not None and fixed > 0 else None


def embedding_options(options: dict[str, Any]) -> EmbeddingOptions:
    vector = options["vector_type"]
    return EmbeddingOptions(
        outputs=("matrix",) if options["embedding_type"] == "matrix" else (vector,),
        layer=None,
        matrix_add_special_token=options["matrix_add_special_token"],
        embedding_complete=options["embedding_complete"],
        truncation_seq_length=options["truncation_seq_length"],
        trunc_type=options["trunc_type"],
        embedding_fixed_len_a_time=fixed_length(options),
        embedding_complete_seg_overlap=options["embedding_complete_seg_overlap"],
        stitching="lucaone",
        precision="float32",
        dtype="float32",
    )


def columns_of(options: dict[str, Any]) -> Columns:
    """LucaOneApp uses its two column options only together."""
    if options["id_idx"] is None or options["seq_idx"] is None:
        return Columns()
    return Columns(id=str(options["id_idx"]), sequence=str(options["seq_idx"]))


def file_name(header: str, embedding_type: str) -> str:
    """The name LucaOneApp gives a record's file."""
    name = header.removeprefix(">").replace(" ", "").replace("/", "_").replace("|", "_")
    return f"{embedding_type}_{name}.pt"
