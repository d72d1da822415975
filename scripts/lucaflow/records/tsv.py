"""Tables that LucaFlow writes: separated by tabs, with a header line."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

_BUFFER_BYTES = 1 << 20


def open_tsv(stack: ExitStack, path: Path, columns: Sequence[str]) -> tuple[TextIO, Any]:
    """Open a table to write, and write its header line; return the file and its csv writer."""
    handle = stack.enter_context(path.open("w", _BUFFER_BYTES, encoding="utf-8", newline="\n"))
    writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    return handle, writer


def tsv_rows(stack: ExitStack, path: Path) -> Iterator[list[str]]:
    """Return the rows of a table, its header line first. A cell may be of any length, as labels of residues are."""
    csv.field_size_limit(sys.maxsize)
    return csv.reader(stack.enter_context(path.open(encoding="utf-8", newline="")), delimiter="\t")
