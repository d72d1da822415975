"""Vectors as numpy's files, with a table of what each row is of."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from lucaflow.engine.options import VECTORS
from lucaflow.files.checksums import guard_of
from lucaflow.files.writing import replacing
from lucaflow.store.embeddings import records_of
from lucaflow.store.format import FORMAT, open_hdf5, rows_of


def export_npy(embeddings: Path, outputs: Sequence[str], folder: Path) -> None:
    """Write `<output>.npy` (N, H) of each kind of vector, and ids.tsv, whose row i says what row i is of.

    Those of kinds that are not asked for any more go: their rows may be of other records.
    """
    for output in set(VECTORS) - set(outputs):
        for path in (folder / f"{output}.npy", guard_of(folder / f"{output}.npy")):
            path.unlink(missing_ok=True)
    with ExitStack() as stack:
        source = stack.enter_context(open_hdf5(embeddings, FORMAT))
        lines = _opened(stack, folder / "ids.tsv", "w", encoding="utf-8", newline="")
        arrays = {output: _opened(stack, folder / f"{output}.npy", "wb") for output in outputs}
        for output, file in arrays.items():
            shape = len(source["ids"]), source[output].shape[1]
            described = np.lib.format.dtype_to_descr(source[output].dtype)
            header = {"descr": described, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        table = csv.writer(lines, delimiter="\t", lineterminator="\n")
        table.writerow(("row", "id", "length", "digest"))
        for block, ids, rows in records_of(source):
            lengths, digests = rows_of(source["lengths"], rows), np.char.decode(rows_of(source["digests"], rows))
            table.writerows(zip(range(block.start, block.stop), ids, lengths, digests, strict=True))
            for output, file in arrays.items():
                file.write(np.ascontiguousarray(rows_of(source[output], rows)))


def _opened(stack: ExitStack, path: Path, mode: str, **options: Any) -> Any:
    """Open a file that gets its name when the stack is left."""
    return stack.enter_context(stack.enter_context(replacing(path, guarded=True)).open(mode, **options))
