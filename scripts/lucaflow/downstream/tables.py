"""Tables of predictions, with LucaOneTasks' columns and number formats, in the order of the input."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lucaflow.downstream.lucaonetasks import Task
from lucaflow.downstream.residue_outputs import NOT_READ
from lucaflow.errors import InputError
from lucaflow.files.writing import replacing
from lucaflow.records.outcomes import digest_of, normalise
from lucaflow.records.readers import Columns, RawRecord, is_fasta, read_records
from lucaflow.records.tsv import tsv_rows

if TYPE_CHECKING:  # it imports torch, which those who read tables do not need
    from lucaflow.downstream.prediction import Predictions

GROUND_TRUTH, SPLIT = "ground_truth", "split"


@dataclass(frozen=True)
class Formatter:
    """Turns the prediction for a row into LucaOneTasks' cells."""

    task: Task
    labels: Sequence[str]
    threshold: float
    topk: int | None

    @property
    def columns(self) -> list[str]:
        sides = ["seq_id_a", "seq_id_b", "seq_a", "seq_b"] if self.task.is_pair else ["seq_id", "seq"]
        if self.task.task_type == "multi_class" and self.topk and self.topk > 1:
            return [*sides, "top1_prob", "top1_label", f"top{self.topk}_probs", f"top{self.topk}_labels"]
        return [*sides, "prob", "label"]

    def cells(self, values: np.ndarray, classes: np.ndarray) -> list[Any]:
        """Return the cells for values (k,) of classes (k,). Numbers are float32, written as Python prints them."""
        numbers = [float(value) for value in values]
        if self.task.task_type == "regression":
            return [numbers[0], str(values[0])]
        if self.task.task_type == "binary_class":
            return [numbers[0], self.labels[int(values[0] >= np.float32(self.threshold))]]
        if self.task.task_type == "multi_label":
            chosen = np.flatnonzero(values >= np.float32(self.threshold)).tolist()
            return [str([numbers[index] for index in chosen]), str([self.labels[index] for index in chosen])]
        names = [self.labels[index] for index in classes]
        best = [numbers[0], names[0]]
        return [*best, str(numbers), str(names)] if self.topk and self.topk > 1 else best


class Entry(NamedTuple):
    """A single sequence, or both sequences of a pair, as read, with their rows of records.tsv and their label."""

    raw: tuple[RawRecord, ...]
    records: tuple[dict[str, str], ...]
    label: str

    @property
    def status(self) -> str:
        return self.records[0]["status"]

    @property
    def reason(self) -> str:
        """Why it was not accepted; for a pair, the problem of the side that is at fault."""
        reasons = [
            f"side {row['side']}: {row['reason']}" if row["side"] else row["reason"]
            for row in self.records
            if not row["reason"].startswith("the other side")
        ]
        return "; ".join(dict.fromkeys(reasons))


@dataclass(frozen=True)
class LabelledSource:
    """The file of a dataset with the tables that were made of it.

    records: records.tsv; labels: the table of labels; invalid_characters: the option of normalisation.
    """

    path: Path
    columns: Columns
    records: Path
    labels: Path
    invalid_characters: str

    def all_labels(self) -> Iterator[str]:
        """Yield the label of each record that has one."""
        with ExitStack() as stack:
            rows = tsv_rows(stack, self.labels)
            next(rows)
            yield from (label for _, label in rows)


def entries(source: LabelledSource) -> Iterator[Entry]:
    """Yield the entries of an input file with their rows of records.tsv. Raises InputError if the two do not match."""
    csv.field_size_limit(sys.maxsize)
    path, count = source.path, 2 if source.columns.pairs else 1
    with ExitStack() as stack:
        rows = csv.DictReader(stack.enter_context(source.records.open(encoding="utf-8", newline="")), delimiter="\t")
        labelled = tsv_rows(stack, source.labels)
        next(labelled)
        number, label = next(labelled, ("", ""))
        pairs = zip(read_records(path, source.columns), rows, strict=True)
        try:
            for group in zip(*[pairs] * count, strict=True):
                raws, states = zip(*group, strict=True)
                if not all(_is_same(raw, state, source.invalid_characters) for raw, state in group):
                    raise InputError(f"{path}, line {raws[0].line}: the file changed while it was used. Run again.")
                is_labelled = number == states[0]["record"]
                yield Entry(raws, states, label if is_labelled else "")
                if is_labelled:
                    number, label = next(labelled, ("", ""))
        except ValueError as error:
            raise InputError(f"{path}: the file changed while it was used ({error}). Run again.") from error


def _is_same(raw: RawRecord, state: Mapping[str, str], invalid_characters: str) -> bool:
    """Return whether a record is the one that was normalised. If it was not accepted, its line and id are compared."""
    if (str(raw.line), raw.id) != (state["line"], state["id"]):
        return False
    if state["status"] != "accepted":
        return True
    sequence, _ = normalise(raw.text, state["seq_type"], invalid_characters)
    return digest_of(state["seq_type"], sequence) == state["digest"]


def write_predictions(
    predictions: Path, failed: Path, source: LabelledSource, found: Predictions, formatter: Formatter,
    is_truth: Callable[[str], bool] | None, parts: Sequence[str] | None = None,
) -> Counter[str]:  # fmt: skip
    """Write a row for each accepted record, in input order; records without a prediction go to `failed`, with a reason.

    is_truth: says which labels the task can predict; they go into the column `ground_truth`. None: there is no such
    column. parts: of each accepted record, where the model was trained on these; they go into the column `split`.
    Return the number of rows in each table. A record that repeats another one has no row.
    """
    text_of = _text_of(is_fasta(source.path))
    counts: Counter[str] = Counter(predicted=0, failed=0)
    index = -1
    with ExitStack() as stack:
        good, bad = (_writer(stack, name) for name in (predictions, failed))
        good.writerow([*formatter.columns, *([GROUND_TRUTH] if is_truth else []), *([SPLIT] if parts else [])])
        names = formatter.columns[: 4 if formatter.task.is_pair else 2]
        bad.writerow(["line", *names, "reason"])
        for entry in entries(source):
            cells = [*(raw.id for raw in entry.raw), *(text_of(raw.text) for raw in entry.raw)]
            reason = entry.reason if entry.status == "dropped" else ""
            if entry.status == "accepted":
                index += 1
                values, classes = found.of(index)
                reason = found.problems.get(index) or _unpredictable(
                    found.sides.types[index],
                    bool(found.sides.readable[index]),
                    values[classes != NOT_READ],
                    formatter.task,
                )
                if not reason:
                    predicted = formatter.cells(values, classes)
                    truth = [entry.label if is_truth(entry.label) else ""] if is_truth else []
                    good.writerow([*cells, *predicted, *truth, *([parts[index]] if parts else [])])
                    counts["predicted"] += 1
            if reason:
                bad.writerow([entry.raw[0].line, *cells, reason])
                counts["failed"] += 1
    return counts


def _unpredictable(types: np.ndarray, readable: bool, values: np.ndarray, task: Task) -> str:
    """Return why an accepted record has no prediction; an empty text if it has one."""
    if not readable:
        return f"{task.name} reads {' and '.join(task.seq_types)}, this is {' and '.join(types)}"
    return "" if np.isfinite(values).all() else "the prediction is not a finite number"


def _text_of(fasta: bool) -> Callable[[str], str]:
    """Return the function that gives a sequence as in the input; for FASTA, without line ends and stops at the end."""
    return (lambda text: "".join(text.split()).rstrip("*")) if fasta else (lambda text: text)


def _writer(stack: ExitStack, path: Path) -> Any:
    temporary = stack.enter_context(replacing(path))
    return csv.writer(stack.enter_context(temporary.open("w", encoding="utf-8", newline="")))
