"""How are vectors written as .npy files, with a table of the records in their rows?"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from lucaflow.engine.options import VECTORS
from lucaflow.files.writing import replacing
from lucaflow.store.embeddings import record_blocks
from lucaflow.store.format import EMBEDDINGS_FORMAT, open_hdf5, read_rows


def export_npy(embeddings: Path, outputs: Sequence[str], folder: Path) -> None:
    """Write `<output>.npy` (N, H) for each vector output, and ids.tsv, whose row i describes the record in row i.

    Remove the files of vector outputs that are not requested, since their rows may belong to other records.
    """
    for output in set(VECTORS) - set(outputs):
        (folder / f"{output}.npy").unlink(missing_ok=True)
    with ExitStack() as stack:
        source = stack.enter_context(open_hdf5(embeddings, EMBEDDINGS_FORMAT))
        lines = _open_for_writing(stack, folder / "ids.tsv", "w", encoding="utf-8", newline="")
        arrays = {output: _open_for_writing(stack, folder / f"{output}.npy", "wb") for output in outputs}
        for output, file in arrays.items():
            shape = len(source["ids"]), source[output].shape[1]
            dtype = np.lib.format.dtype_to_descr(source[output].dtype)
            header = {"descr": dtype, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        table = csv.writer(lines, delimiter="\t", lineterminator="\n")
        table.writerow(("row", "id", "length", "digest"))
        for block, ids, rows in record_blocks(source):
            lengths, digests = read_rows(source["lengths"], rows), np.char.decode(read_rows(source["digests"], rows))
            table.writerows(zip(range(block.start, block.stop), ids, lengths, digests, strict=True))
            for output, file in arrays.items():
                file.write(np.ascontiguousarray(read_rows(source[output], rows)))


def _open_for_writing(stack: ExitStack, path: Path, mode: str, **options: Any) -> Any:
    """Open a file that gets its final name when the stack closes."""
    return stack.enter_context(stack.enter_context(replacing(path)).open(mode, **options))
