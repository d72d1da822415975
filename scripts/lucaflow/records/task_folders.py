"""Is a dataset a folder of LucaOneTasks, and which records are in it?

Such a folder holds `train`, `dev` and `test`, with CSV or TSV files in each. Their records are read as those of one
table, whose column `split` says the part. Lines are counted on from file to file. Labels are numbers of classes there,
which label.txt names; where it is, the records have these names.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lucaflow.errors import InputError, quoted, shown
from lucaflow.files.usable import why_unusable
from lucaflow.records.columns import plain_name
from lucaflow.records.further_columns import FoundColumns
from lucaflow.records.layouts import layout_of
from lucaflow.records.opening import open_bytes, open_text
from lucaflow.records.raw_records import LONGEST_RECORD, Columns, RawRecord
from lucaflow.records.seq_types import SEQ_TYPES

PARTS = ("train", "dev", "test")
LABEL_COLUMN, SPLIT_COLUMN, CLASSES = "label", "split", "label.txt"
# Indices of the id, the type, the sequence and the label by the number of columns, where names do not tell.
_POSITIONS: dict[int, tuple[int, int | None, int, int]] = {3: (0, None, 1, 2), 4: (0, 1, 2, 3), 6: (0, 1, 2, 5)}
_NAMES, _TYPE = ("seqid", "seq", "label"), "seqtype"
_ENDINGS = (".csv", ".tsv")
# Of a regression, label.txt has a single line at most.
_FEWEST_CLASSES = 2
_NO_LABEL = "-100"
_NUMBER, _LIST = re.compile(r"0|[1-9]\d*"), re.compile(r"\[(\d+|-100|[\[\],\s])*\]")

ReadTable = Callable[[Path, Columns, FoundColumns], Iterator[RawRecord]]


def is_task_folder(path: Path) -> bool:
    """Return whether a dataset's path is a folder that holds `train`, `dev` or `test`."""
    # Unlike `Path.is_dir`, this raises nothing for a folder that may not be read, or a name that cannot be one.
    return any(os.path.isdir(path / part) for part in PARTS)  # noqa: PTH112


def files_of(folder: Path) -> list[tuple[str, Path]]:
    """Return each file of a folder with its part, sorted. Hidden files are skipped, as LucaOneTasks does.

    Raises InputError for a folder without files in each of the three parts.
    """
    found = [
        (part, path)
        for part in PARTS
        for path in sorted((folder / part).iterdir() if (folder / part).is_dir() else ())
        if path.suffix.lower() in _ENDINGS and not path.name.startswith(".")
    ]
    missing = [part for part in PARTS if part not in {part for part, _ in found}]
    if missing:
        raise InputError(
            f"{shown(folder)}: there are no CSV or TSV files in {' and '.join(missing)}. In a folder of LucaOneTasks, "
            "expected are some in train, dev and test."
        )
    return found


def files_read(folder: Path) -> list[Path]:
    """Return all files that the records of a folder depend on."""
    names = folder / CLASSES
    return [*(path for _, path in files_of(folder)), *([names] if names.is_file() else [])]


def why_unusable_source(path: Path) -> str:
    """Return why a dataset's file, or a file of its folder, cannot be read; an empty text if all can."""
    if not is_task_folder(path):
        return why_unusable(path)
    try:
        faults = ((file, why_unusable(file)) for file in files_read(path))
        return next((f"{file.relative_to(path)}: {fault}" for file, fault in faults if fault), "")
    except InputError as error:
        return str(error).removeprefix(f"{shown(path)}: ").rstrip(".")
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def size_of_source(path: Path) -> int:
    """Return the bytes of a dataset's file, or of the files of its folder; 0 if one of them cannot be read."""
    if why_unusable_source(path):
        return 0
    paths = files_read(path) if is_task_folder(path) else [path]
    return sum(each.stat().st_size for each in paths)


def read_folder(
    folder: Path, columns: Columns, note: Callable[[str], None], found: FoundColumns | None, read: ReadTable
) -> Iterator[RawRecord]:
    """Yield the records of all parts in order.

    note: is called with which lines each file has; found: takes the name of the column of parts; read: reads the
    records of one table. Raises InputError.
    """
    _refuse_columns(folder, columns)
    if found is not None:
        found.names, found.has_labels = [SPLIT_COLUMN], True
    before, pairs = 0, 0
    names = class_names_of(folder)
    for part, path in files_of(folder):
        known, type_name = _columns_of_file(path, columns)
        further, last = FoundColumns(), 0
        note(f"lines of {path.relative_to(folder)} are counted from {before + 1} on")
        for raw in read(path, known, further):
            last = int(raw.pair or 0)
            cells = () if found is None else (part,)
            record = raw._replace(line=raw.line + before, cells=cells, label=named(raw.label, names))
            if columns.pairs:
                yield record._replace(pair=str(pairs + last))
            else:
                fault = raw.fault or _fault_of_type(raw, further, type_name, columns.seq_type)
                yield record._replace(fault=fault)
        before += _lines_of(path)
        pairs += last


def class_names_of(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes in the order of their numbers, those of label.txt; none where it is missing."""
    path = folder / CLASSES
    if not path.is_file():
        return ()
    with open_text(path) as handle:
        names = [line.strip() for line in handle if line.strip()]
    return tuple(names[1:] if names and names[0] == LABEL_COLUMN else names)


def named(label: str, names: Sequence[str]) -> str:
    """Return a label of LucaOneTasks with names in place of the numbers of classes.

    Several classes become a JSON list, as do those of residues, of which each may have several; of one without a label,
    there is `null`. Labels without numbers of classes stay, such as values of a regression.

    >>> named("1", ["in", "out"]), named("[0, 1]", ["in", "out"]), named("-100", ["in", "out"]), named("0.5", [])
    ('out', '["in", "out"]', '', '0.5')
    >>> named("[[1], [0, 1], []]", ["in", "out"]), named("[-100, 1]", ["in", "out"])
    ('[["out"], ["in", "out"], []]', '[null, "out"]')
    """
    if len(names) < _FEWEST_CLASSES:
        return label
    if label.strip() == _NO_LABEL:
        return ""
    if _NUMBER.fullmatch(label.strip()):
        return names[int(label)] if int(label) < len(names) else label
    if not _LIST.fullmatch(label.strip()):
        return label
    try:
        # A comma after the last number is none of JSON, but one of Python, which LucaOneTasks reads.
        found = _with_names(json.loads(re.sub(r",\s*\]", "]", label)), names)
    except (ValueError, IndexError, RecursionError):
        return label
    return json.dumps(found, ensure_ascii=False)


def _with_names(numbers: Any, names: Sequence[str]) -> Any:
    """Return a number of a class, or a list of them, with names. Raises IndexError for one that is no class."""
    if isinstance(numbers, list):
        return [_with_names(each, names) for each in numbers]
    return None if numbers == int(_NO_LABEL) else names[numbers]


def _refuse_columns(folder: Path, columns: Columns) -> None:
    """Raise InputError for columns that are stated otherwise than LucaOneTasks has them."""
    stated = {"id_column": columns.id, "seq_column": columns.sequence}
    wrong = [name for name, value in stated.items() if value is not None]
    wrong += ["header"] if columns.header is False else []
    if columns.label not in (None, LABEL_COLUMN):
        wrong.append("label_column")
    if wrong:
        raise InputError(f"{folder}: a folder of LucaOneTasks has its own columns; leave {' and '.join(wrong)} empty.")


def _columns_of_file(path: Path, columns: Columns) -> tuple[Columns, str]:
    """Return the columns of a file, by LucaOneTasks' names or else by position, and the name of the one of types."""
    if reason := why_unusable(path):
        raise InputError(f"{shown(path)}: {reason}. Make the file readable.")
    layout = layout_of(path, Columns())
    if layout.delimiter is None:
        raise InputError(f"{path}: this is FASTA. Expected a CSV or TSV file of LucaOneTasks.")
    if columns.pairs:
        return replace(columns, header=True), ""
    with open_text(path) as handle:
        line = handle.readline(LONGEST_RECORD)
    header = next(csv.reader([line], delimiter=layout.delimiter), [])
    names = [plain_name(cell) for cell in header]
    if all(name in names for name in _NAMES):
        identifier, sequence, label = map(names.index, _NAMES)
        seq_type = names.index(_TYPE) if _TYPE in names else None
    elif len(names) in _POSITIONS:
        identifier, seq_type, sequence, label = _POSITIONS[len(names)]
    else:
        raise InputError(
            f"{path}, line 1: {quoted(line.strip())} has {len(names)} columns. Expected seq_id, seq_type, seq, label; "
            "files of pairs need `kind` pair."
        )
    wanted = str(label) if columns.label else None
    known = replace(columns, header=True, id=str(identifier), sequence=str(sequence), label=wanted)
    return known, "" if seq_type is None else header[seq_type].strip()


def _fault_of_type(raw: RawRecord, further: FoundColumns, name: str, expected: str) -> str:
    """Return why a row's type is not that of the dataset, or an empty text. name: of the column of types."""
    stated = raw.cells[further.names.index(name)] if raw.cells and name in further.names else ""
    found = SEQ_TYPES.get(stated.lower(), stated)
    if not found or not expected or found == expected:
        return ""
    return f"seq_type is {quoted(stated)}, but that of the dataset is {expected}; divide the dataset by types"


def _lines_of(path: Path) -> int:
    """Return the number of lines of a file."""
    with open_bytes(path) as handle:
        count, end = 0, b"\n"
        while part := handle.read(1 << 20):
            count, end = count + part.count(b"\n"), part[-1:]
    return count + (end != b"\n")
