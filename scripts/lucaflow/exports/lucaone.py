"""Embeddings in the formats of other tools."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import torch

from lucaflow.engine.options import VECTORS
from lucaflow.errors import StoreError
from lucaflow.files.writing import replacing_folder
from lucaflow.records.outcomes import file_name_of
from lucaflow.records.table import accepted_records
from lucaflow.store.embeddings import Embeddings


def file_names(records: Path) -> Iterator[str]:
    """Yield what LucaOneApp calls each accepted record, in the order of records.tsv."""
    for accepted in accepted_records(records, ["id", "description"]):
        for identifier, description in zip(accepted["id"], accepted["description"], strict=True):
            yield file_name_of(identifier, description)


def export_lucaone(embeddings_path: Path, records: Path, save_type: str, folder: Path) -> int:
    """Write what LucaOneApp would have written: `matrix_<name>.pt` and `vector_<name>.pt`; return the number of files.

    Each holds one float32 array, matrix (rows, H) or vector (H,), as numpy (which `torch.load` opens with
    weights_only=False alone) or as a tensor. Raises StoreError for names that the file system cannot tell apart.
    """
    count = 0
    with Embeddings(embeddings_path) as embeddings, replacing_folder(folder, guarded=True) as temporary:
        names = {output: "vector" if output in VECTORS else "matrix" for output in embeddings.outputs}
        names.pop("contacts", None)
        for identifier, name in zip(embeddings.ids, file_names(records), strict=True):
            for output, kind in names.items():
                values = embeddings.read(output, identifier).astype(np.float32, copy=False)
                _save(torch.from_numpy(values) if save_type == "tensor" else values, temporary / f"{kind}_{name}.pt")
                count += 1
    return count


class _PortablePickler(pickle.Pickler):
    """Names numpy's functions as they were called before numpy 2, which knows both names."""

    def __init__(self, file: BinaryIO, protocol: int) -> None:
        self._target, self._buffer = file, io.BytesIO()
        super().__init__(self._buffer, protocol)

    def dump(self, values: Any) -> None:
        super().dump(values)
        self._target.write(self._buffer.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.", 1))


_PORTABLE = SimpleNamespace(__name__="pickle", Pickler=_PortablePickler)


def _save(values: Any, path: Path) -> None:
    try:
        with path.open("xb") as file:
            torch.save(values, file, pickle_module=_PORTABLE)
    except FileExistsError as error:
        raise StoreError(
            f"two records are to be called {path.name}: this file system ignores case. Export elsewhere, or rename one."
        ) from error
