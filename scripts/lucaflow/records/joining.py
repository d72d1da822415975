"""How is metadata joined with the accepted records of a dataset, and what is left over on either side?"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lucaflow.errors import InputError, quoted
from lucaflow.files.writing import replacing
from lucaflow.records.counts import counted
from lucaflow.records.further_columns import RESERVED, FoundColumns, distinct_names
from lucaflow.records.metadata import Metadata, refuse_unjoined
from lucaflow.records.tsv import open_tsv, tsv_rows

PROBLEM_COLUMNS = ("problem", "id", "line")
WITHOUT_ROW = "record without a row"
WITHOUT_RECORD = "row without a record"
REPEATED = "another row of the same id: the first is used"
AMBIGUOUS = "record that several rows match: none is used"
# Ids of records by which another column of ids is found if no row belongs to any.
_SAMPLED_IDS = 10_000


@dataclass(frozen=True)
class JoinedFiles:
    """Files of a dataset that the join reads: the records, and the columns of the dataset's own table; and writes: all
    columns, the labels if the metadata has them, and the list of ids that did not match.
    """

    records: Path
    own_columns: Path
    columns: Path
    labels: Path
    problems: Path


def join(metadata: Metadata, source: Path, files: JoinedFiles, own: FoundColumns) -> str:
    """Add the columns of the metadata to those of the dataset's table, and its labels if the table has none.

    source: the dataset's file; own: the columns of the dataset's own table. Return a sentence with what matched.
    Raises InputError if no row belongs to an accepted record.
    """
    label = None if own.has_labels else metadata.label
    kept = [index for index in range(len(metadata.names)) if index != label]
    names = distinct_names((metadata.names[index] for index in kept), (*RESERVED, *own.names), "metadata")
    used: set[str] = set()
    counts: Counter[str] = Counter()
    sample: list[str] = []
    with replacing(files.problems) as problems, ExitStack() as stack:
        _, listed = open_tsv(stack, problems, PROBLEM_COLUMNS)
        _, columns = open_tsv(stack, files.columns, ("record", *own.names, *names))
        labels = open_tsv(stack, files.labels, ("record", "label"))[1] if label is not None else None
        for number, line, identifier, cells in _accepted(files.records, files.own_columns, len(own.names)):
            if metadata.is_named_as(identifier):
                raise InputError(
                    f"{metadata.path}: the first line has the id of a record, {quoted(identifier)}, in place of a name "
                    "for the column of ids. Put a line with the names of the columns above it."
                )
            key, several = metadata.find(identifier)
            found = [""] * len(kept)
            if key is None:
                problem = AMBIGUOUS if several else WITHOUT_ROW
                counts[problem] += 1
                listed.writerow((problem, identifier, line))
                if len(sample) < _SAMPLED_IDS:
                    sample.append(identifier)
            else:
                counts["joined"] += 1
                used.add(key)
                _, values = metadata.cells(key)
                found = [values[index] for index in kept]
                if labels and label is not None and values[label]:
                    labels.writerow((number, values[label]))
            if any(cells) or any(found):
                columns.writerow((number, *cells, *found))
        if not used:
            refuse_unjoined(metadata, source, sample)
        for key in metadata.rows:
            if key not in used:
                counts[WITHOUT_RECORD] += 1
                listed.writerow((WITHOUT_RECORD, key, metadata.cells(key)[0]))
        counts[REPEATED] = len(metadata.repeated)
        listed.writerows((REPEATED, *repeated) for repeated in metadata.repeated)
    both = own.has_labels and metadata.label is not None
    return _described(metadata, counts, files.problems) + "; labels are from the dataset's own table" * both


def _accepted(records: Path, columns: Path, width: int) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield number, line, id and further cells of each accepted record. width: the number of further cells."""
    with ExitStack() as stack:
        further = tsv_rows(stack, columns)
        next(further)
        row: list[str] | None = next(further, None)
        for record in csv.DictReader(stack.enter_context(records.open(encoding="utf-8", newline="")), delimiter="\t"):
            cells = [""] * width
            if row and row[0] == record["record"]:
                cells, row = row[1:], next(further, None)
            if record["status"] == "accepted":
                yield record["record"], record["line"], record["id"], cells


def _described(metadata: Metadata, counts: Counter[str], problems: Path) -> str:
    """Return how many records have metadata, and what is listed as a problem."""
    total = counts["joined"] + counts[WITHOUT_ROW] + counts[AMBIGUOUS]
    text = f"metadata from {metadata.path.name} for {counts['joined']:,} of {counted(total, 'record')}"
    left = [
        f"{counted(counts[problem], noun)} {words}"
        for problem, noun, words in (
            (WITHOUT_RECORD, "row", "without a record"),
            (REPEATED, "row", "with an id of another row"),
            (AMBIGUOUS, "record", "with several rows"),
        )
        if counts[problem]
    ]
    listed = sum(counts.values()) > counts["joined"]
    return "; ".join([text, *left]) + (f"; listed in {problems.name}" if listed else "")
