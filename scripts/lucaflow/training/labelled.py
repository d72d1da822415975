"""Which rows of a dataset have labels, and what was decided about each of them?

`splits.tsv` has a row for each labelled record, in the order of the dataset; `division.json` says what the report tells
about the division; `nearest.tsv` has the most similar sequence of train for each sequence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lucaflow.errors import DAMAGE, InputError, StoreError, damage, quoted, shown
from lucaflow.files.json_files import read_json
from lucaflow.files.writing import write_json, write_table
from lucaflow.records.columns import MISSING
from lucaflow.records.counts import counted
from lucaflow.records.sequences import NormalisedSequence, read_sequences
from lucaflow.records.table import accepted_records
from lucaflow.training.baselines import Targets
from lucaflow.training.labels import classes_in, compared_labels, in_order, residue_labels, target_of, with_names
from lucaflow.training.leakage import Neighbours
from lucaflow.training.options import CORRECTED, TrainingOptions
from lucaflow.training.splits import LEFT_OUT, LabelledRows, Split, refuse

_MOST_NAMED = 5
# What columns are called where their own name is taken.
_ORIGINS = ("table", "metadata")


@dataclass(frozen=True)
class Source:
    """The files of a dataset that labelled rows are read from, as `normalize` writes them. given: what it read."""

    given: Path
    records: Path
    labels: Path
    columns: Path
    sequences: Path


def labels_by_name(options: TrainingOptions, names: Sequence[str]) -> TrainingOptions:
    """Return the options by which labels are read.

    names: of the classes of a folder of LucaOneTasks, whose records have names in place of numbers. So labels are read
    by name also where LucaOneTasks' computation is asked for.
    """
    return replace(options, compatibility=CORRECTED) if names else options


def read_rows(
    source: Source, given_column: str | None, label_column: str, options: TrainingOptions, names: Sequence[str] = ()
) -> LabelledRows:
    """Return the labelled records of a dataset, of single sequences or of pairs, as the network reads.

    given_column: says the part or the group of a row; names: the classes that there may be; none: any. Raises
    InputError for labels that say nothing to the task, and for a column that is not there.
    """
    found = _labelled(source, given_column, label_column, options)
    texts = [with_names(text, options, names) for text in found["label"].tolist()]
    classes = _classes_of_rows(found["id"].tolist(), texts, options, names)
    sequences, sides = _sequences_of(source.sequences, [found[name] for name in _digest_columns(options)])
    said = None
    if options.is_token_level:
        said = [compared_labels(text, options) for text in texts]
        _refuse_other_lengths(source.given, found, [len(each) for each in said], sequences, sides)
    return LabelledRows(
        ids=found["id"].tolist(),
        sequences=sequences,
        sides=sides,
        labels=texts,
        classes=classes,
        given=found["given"].tolist() if given_column else None,
        said=said,
    )


def _refuse_other_lengths(
    path: Path, found: pd.DataFrame, counts: Sequence[int], sequences: Sequence[NormalisedSequence], sides: np.ndarray
) -> None:
    """Raise InputError for rows that have not a label for each residue. counts: (n,) labels of each."""
    residues = np.array([len(sequence.residues) for sequence in sequences], dtype=int)[sides[:, 0]]
    wrong = np.flatnonzero(residues != np.array(counts)).tolist()
    named = [
        f"line {found['line'].iloc[each]}: {found['id'].iloc[each]} has {counted(counts[each], 'label')} and "
        f"{counted(int(residues[each]), 'residue')}"
        for each in wrong[:_MOST_NAMED]
    ]
    more = f"; and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    if wrong:
        refuse(
            shown(path),
            [
                f"- {counted(len(wrong), 'row')} without a label for each residue: {'; '.join(named)}{more}. Write a "
                "label for each, and `-` or null for a residue without one; a stop at the end of a sequence is no "
                "residue."
            ],
        )


def _labelled(source: Source, given_column: str | None, label_column: str, options: TrainingOptions) -> pd.DataFrame:
    """Return id, digests, label and given cell of each record, or pair, that has a label."""
    parts = []
    further = source.columns if given_column and given_column != label_column else None
    digests = _digest_columns(options)
    own = ["id", "digest", "line"]
    for records in accepted_records(source.records, own, source.labels, further=further):
        part = pairs_of(records) if options.sides == 2 else records
        if further:
            name = _column_named(given_column or "", list(part.columns)[len(own) + 1 :])
            part["given"] = part[name].fillna("")
        elif given_column:
            part["given"] = part["label"].fillna("")
        stated = part["label"].notna() & part["label"].map(lambda text: _says_something(text, options))
        parts.append(part.loc[stated, ["id", "line", *digests, "label", *(["given"] if given_column else [])]])
    return pd.concat(parts, ignore_index=True)


def _digest_columns(options: TrainingOptions) -> list[str]:
    """Return the columns of splits.tsv with the digests of a row's sequences."""
    return ["digest"] if options.sides == 1 else ["digest_a", "digest_b"]


def pairs_of(records: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each pair of records, side a and then side b: its ids, and what the record of side a has."""
    first, second = records.iloc[0::2], records.iloc[1::2]
    ids = first["id"].to_numpy() + " " + second["id"].to_numpy()
    found = first.assign(id=ids)
    if "digest" in records:
        found = found.assign(digest_a=first["digest"].to_numpy(), digest_b=second["digest"].to_numpy())
    return found


def seq_types_of(rows: LabelledRows) -> tuple[str, ...]:
    """Return the type of the sequences of each side. Raises InputError for pairs of several types."""
    types = np.array([sequence.seq_type for sequence in rows.sequences])[rows.sides]  # (n, 1 or 2)
    distinct, counts = np.unique(types, axis=0, return_counts=True)
    if len(distinct) > 1:
        each = zip(distinct.tolist(), counts.tolist(), strict=True)
        named = "; ".join(f"{' and '.join(kinds)}: {counted(count, 'row')}" for kinds, count in each)
        refuse(
            "The table", [f"- its rows are of several types ({named}); a model reads one of them. Divide the table."]
        )
    return tuple(str(kind) for kind in distinct[0])


def _says_something(text: Any, options: TrainingOptions) -> bool:
    """Return whether a label is one. Of numbers, words such as NA are none; LucaOneTasks writes -100."""
    if not isinstance(text, str) or not text.strip():
        return False
    if options.is_exact and text.strip() == "-100":
        return False
    if options.is_token_level:
        try:
            return any(residue_labels(text, options))
        except ValueError:
            return True  # and is refused as a label
    return options.task_type != "regression" or text.strip() not in MISSING


def _column_named(name: str, names: Sequence[str]) -> str:
    """Return the column of a name, which has its origin added where the name is taken. Raises InputError."""
    for candidate in (name, *(f"{name} ({origin})" for origin in _ORIGINS)):
        if candidate in names:
            return candidate
    known = f"The columns are: {shown(', '.join(names))}" if names else "It has no further columns"
    raise InputError(
        f"there is no column {quoted(name)} that says the part or the group of a row, neither in the dataset's own "
        f"table nor in its metadata. {known}. Correct split_column or group_column."
    )


def _classes_of_rows(
    ids: Sequence[str], texts: Sequence[str], options: TrainingOptions, names: Sequence[str]
) -> list[frozenset[str]] | None:
    """Return the classes of each row, None for a regression. Raises InputError with the labels that say nothing."""
    known: dict[str, frozenset[str]] = {}
    problems: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        try:
            if options.task_type == "regression":
                target_of(text, options, ())
            known[text] = classes_in(text, options)
            if unknown := sorted(known[text].difference(names) if names else ()):
                raise ValueError(f"{quoted(unknown[0])} is none of the classes: {shown(', '.join(names))}")
        except ValueError as error:
            problems[text] = str(error)
    if problems:
        wrong = [f"{name} ({problems[text]})" for name, text in zip(ids, texts, strict=True) if text in problems]
        more = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
        refuse(
            "The table",
            [
                f"- {counted(len(wrong), 'row')} with a label that is not one of a {options.task_type} task: "
                f"{', '.join(wrong[:_MOST_NAMED])}{more}. Correct the labels, or task_type."
            ],
        )
    if options.task_type == "regression":
        return None
    # A table without any label is refused as such.
    if known:
        _refuse_number_of_classes(frozenset().union(*known.values()), options)
    return [known[text] for text in texts]


def _refuse_number_of_classes(classes: frozenset[str], options: TrainingOptions) -> None:
    if options.task_type == "binary_class" and len(classes) != 2:
        instead = "multi_class" if len(classes) > 2 else "labels of two classes"
    elif options.task_type == "multi_class" and len(classes) < 2:
        instead = "labels of two classes or more"
    else:
        return
    names = shown(", ".join(in_order(classes)))
    refuse("The table", [f"- a {options.task_type} task of {counted(len(classes), 'class')} ({names}); use {instead}."])


def _sequences_of(path: Path, digests: Sequence[pd.Series]) -> tuple[list[NormalisedSequence], np.ndarray]:
    """Return the distinct sequences that rows have, in the order of their file, and the places (n, S) of each row's.

    digests: (n,) of each of the S sides.
    """
    wanted = set().union(*digests)
    sequences = [sequence for sequence in read_sequences(path) if sequence.digest in wanted]
    place = {sequence.digest: number for number, sequence in enumerate(sequences)}
    of_sides = [np.array([place[digest] for digest in side], dtype=int) for side in digests]
    return sequences, np.stack(of_sides, axis=1)


def ordered_classes(
    rows: LabelledRows, split: Split, options: TrainingOptions, stated: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the classes in the order of the outputs: those of the rows that are not left out; none of a regression.

    They are in the order of their names, so of two classes the second is the one whose probability is predicted. Those
    of LucaOneTasks are numbers from 0 on.
    """
    if rows.classes is None:
        return ()
    used = np.flatnonzero(split.parts != LEFT_OUT).tolist()
    names = frozenset().union(*(rows.classes[each] for each in used))
    if stated:
        return tuple(name for name in stated if options.is_exact or name in names)
    if options.is_exact:
        return tuple(map(str, range(max(map(int, names)) + 1)))
    return in_order(names)


def targets_of(rows: LabelledRows, split: Split, options: TrainingOptions, classes: Sequence[str]) -> Targets:
    """Return the labels as numbers; of rows that are left out, zeros."""
    distinct = list(dict.fromkeys(rows.labels[each] for each in np.flatnonzero(split.parts != LEFT_OUT).tolist()))
    number = {text: place for place, text in enumerate(distinct)}
    table = np.stack([target_of(text, options, classes) for text in distinct])
    places = np.array([number.get(text, -1) for text in rows.labels])
    values = np.where(places.reshape(-1, *[1] * (table.ndim - 1)) >= 0, table[places], 0)
    if options.task_type == "regression":
        return Targets(options.task_type, values.astype(float))
    return Targets(options.task_type, values.astype(int), len(classes))


def write_division(path: Path, split: Split, options: TrainingOptions, about: Mapping[str, Any]) -> None:
    """Write division.json. about: what else the report says of the division."""
    write_json(path, {"notes": list(split.notes), "task_type": options.task_type, **about})


def write_nearest(path: Path, rows: LabelledRows, neighbours: Neighbours) -> None:
    """Write nearest.tsv: for each sequence, the most similar one of train."""
    digests = [sequence.digest for sequence in rows.sequences]
    table = {
        "digest": digests,
        "identity": neighbours.identity,
        "resembles": neighbours.partial.astype(int),
        "nearest": [digests[each] if each >= 0 else "" for each in neighbours.best.tolist()],
    }
    write_table(path, pd.DataFrame(table))


def read_division(
    splits: Path, nearest: Path, division: Path, sequences: Path, options: TrainingOptions
) -> tuple[LabelledRows, Split, Neighbours, tuple[str, ...]]:
    """Return what `splits.write_splits`, `write_nearest` and `write_division` wrote, and last the names of classes in
    their stated order, if there is one. Raises StoreError."""
    try:
        about = read_json(division)
        names = tuple(about["classes"])
        options = labels_by_name(options, names)
        table = _read(splits)
        distinct, sides = _sequences_of(sequences, [table[name] for name in _digest_columns(options)])
        labels = table["label"].tolist()
        of_label = {text: classes_in(text, options) for text in dict.fromkeys(labels)}
        classes = None if options.task_type == "regression" else [of_label[text] for text in labels]
        rows = LabelledRows(table["id"].tolist(), distinct, sides, labels, classes)
        parts, reasons, clusters = (table[name].to_numpy(dtype=object) for name in ("split", "reason", "cluster"))
        split = Split(parts, reasons, clusters, tuple(about["notes"]))
        found = _read(nearest).set_index("digest").loc[[sequence.digest for sequence in distinct]]
        place = {sequence.digest: number for number, sequence in enumerate(distinct)}
        neighbours = Neighbours(
            found["identity"].astype(float).to_numpy(),
            (found["resembles"] == "1").to_numpy(),
            np.array([place.get(digest, -1) for digest in found["nearest"]], dtype=int),
        )
    except (*DAMAGE, json.JSONDecodeError) as error:
        raise StoreError(
            f"{splits} or a file beside it is damaged ({damage(error)}). Delete it and run again."
        ) from error
    return rows, split, neighbours, names


def read_parts(splits: Path) -> pd.DataFrame:
    """Return id and part of each labelled record, in the order of the dataset."""
    return _read(splits)[["id", "split"]]


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
