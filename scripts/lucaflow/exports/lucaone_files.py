"""How are embeddings written as the files of LucaOneApp?"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from lucaflow.engine.options import VECTORS
from lucaflow.errors import StoreError
from lucaflow.files.checksums import LIST_SUFFIX, write_list
from lucaflow.files.writing import replacing_folder
from lucaflow.records.outcomes import file_name_of
from lucaflow.records.table import accepted_records
from lucaflow.store.embeddings import Embeddings
from lucaflow.store.format import SPANS


def lucaone_file_names(records: Path) -> Iterator[str]:
    """Yield the name that LucaOneApp gives to the files of each accepted record, in the order of records.tsv."""
    for accepted in accepted_records(records, ["id", "description"]):
        for identifier, description in zip(accepted["id"], accepted["description"], strict=True):
            yield file_name_of(identifier, description)


def export_lucaone(embeddings_path: Path, records: Path, save_type: str, folder: Path) -> int:
    """Write the files of LucaOneApp, `matrix_<name>.pt` and `vector_<name>.pt`, and beside `folder` a list of their
    SHA-256; return the number of files. If rows of matrices cover several letters, `spans_<name>.pt` says which.

    Each file holds one float32 array, a matrix (rows, H) or a vector (H,), as a numpy array or as a tensor; spans
    (rows, 2) are int32.
    `torch.load` opens numpy arrays only with weights_only=False. Raise StoreError if two names differ only in case and
    the file system ignores case.
    """
    count = 0
    with Embeddings(embeddings_path) as embeddings, replacing_folder(folder) as temporary:
        names = {output: "vector" if output in VECTORS else "matrix" for output in embeddings.outputs}
        names.pop("contacts", None)
        names |= {SPANS: SPANS} if SPANS in embeddings.file else {}
        for identifier, name in zip(embeddings.ids, lucaone_file_names(records), strict=True):
            for output, kind in names.items():
                values = (
                    embeddings.spans(identifier)
                    if output == SPANS
                    else embeddings.read(output, identifier).astype(np.float32, copy=False)
                )
                _save(torch.from_numpy(values) if save_type == "tensor" else values, temporary / f"{kind}_{name}.pt")
                count += 1
    write_list(folder.with_suffix(LIST_SUFFIX), folder)
    return count


class _PortablePickler(pickle.Pickler):
    """Pickles numpy arrays by names that all versions of numpy have: numpy 1 does not know `numpy._core`."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return NotImplemented
        # The state of an array, as numpy pickles it, is given to an empty array of its type.
        return np.ndarray, ((0,), value.dtype), value.__reduce__()[2]


_PORTABLE_PICKLE = SimpleNamespace(__name__="pickle", Pickler=_PortablePickler)
# Older protocols write bytes as text, half as long again, and no more than 4 GiB of it. torch reads tensors with
# weights_only=True in its own protocol only; their values are not in the pickle.
_PROTOCOL_OF_ARRAYS = 4


def _save(values: Any, path: Path) -> None:
    try:
        with path.open("xb") as file:
            if isinstance(values, torch.Tensor):
                torch.save(values, file)
            else:
                torch.save(values, file, pickle_module=_PORTABLE_PICKLE, pickle_protocol=_PROTOCOL_OF_ARRAYS)
    except FileExistsError as error:
        raise StoreError(
            f"two records need a file named {path.name}, since this file system ignores case. "
            "Export to another file system, or rename one of the records."
        ) from error
