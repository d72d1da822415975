"""How are vectors written as a CSV, a row for each record and a column for each number?"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv

from lucaflow.config.result_files import CSV_NUMBER
from lucaflow.exports.tables import RecordTables, described_records, open_export
from lucaflow.records.further_columns import distinct_names
from lucaflow.store.format import read_rows

# Of gzip: numbers hardly get smaller with more, and it takes three times as long.
_LEVEL = 4


def export_csv(embeddings: Path, tables: RecordTables, outputs: Sequence[str], path: Path) -> None:
    """Write one row for each record: `id`, `label` if there are labels, `length`, the further columns, then vectors.

    The numbers of a vector are in columns `<output>_1` and so on; a further column of such a name is renamed.

    A number has as many digits as float32 needs to be read back as it was. Memory does not grow with the number of
    records. A path that ends in .gz is compressed. Raise SpaceError if there is no room.
    """
    compressed = path.suffix == ".gz"
    with ExitStack() as stack:
        size = CSV_NUMBER // (2 if compressed else 1)
        source, temporary = stack.enter_context(open_export(embeddings, outputs, path, "csv", size))
        file: IO[bytes] = stack.enter_context(temporary.open("wb"))
        if compressed:
            file = cast("IO[bytes]", stack.enter_context(gzip.GzipFile("", "wb", _LEVEL, file, mtime=0)))
        _write(source, tables, outputs, file)


def _write(source: h5py.File, tables: RecordTables, outputs: Sequence[str], file: IO[bytes]) -> None:
    told = ["id", "label", "length"] if _has_rows(tables.labels) else ["id", "length"]
    width = int(source.attrs["hidden_size"])
    numbers = [f"{output}_{number}" for output in outputs for number in range(1, width + 1)]
    names = [*told, *distinct_names(tables.further, [*told, *numbers], "table"), *numbers]
    told += tables.further
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(names)
    file.write(line.getvalue().encode())
    # The header is written above, since this would quote each of its names.
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    for _, rows, described in described_records(source, tables):
        columns = [pa.array(described[name], from_pandas=True) for name in told]
        for output in outputs:
            columns += map(pa.array, np.ascontiguousarray(read_rows(source[output], rows).astype(np.float32).T))
        pyarrow.csv.write_csv(pa.Table.from_arrays(columns, names), file, options)


def _has_rows(table: Path) -> bool:
    """Return whether a table has a row below its header."""
    with table.open("rb") as lines:
        return bool(lines.readline() and lines.readline())
