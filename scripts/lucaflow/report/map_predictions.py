"""What a map knows of its points beside their records: predictions of tasks, and scores of a language model."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from lucaflow.files.json_files import read_json
from lucaflow.records.further_columns import distinct_names
from lucaflow.report.maps import Map

# Rows of a table that are in memory at once.
_ROWS_AT_ONCE = 100_000
# Of the table of scores of sequences: columns that colour a map, and their names there.
OF_SCORES = {"pseudo_perplexity": "pseudo-perplexity", "entropy": "entropy"}


def with_predictions(drawing: Map, tasks: Sequence[Path], scores: Path | None) -> Map:
    """Return a map with further columns to colour its points by: their predictions, and their scores.

    tasks: <task>.csv of each task, beside <task>.json; scores: the table of scores of sequences. A point without a
    prediction has an empty text.
    """
    ids = drawing.points["id"].to_numpy()
    added: dict[str, np.ndarray] = {}
    classes = []
    for path in tasks:
        found, has_classes = _predicted(path, ids)
        added |= found
        classes += [path.stem] * has_classes
    if scores is not None:
        added |= {OF_SCORES[name]: values for name, values in _cells(scores, "id", OF_SCORES, ids).items()}
    shown = distinct_names(added, [str(name) for name in drawing.columns], "predictions")
    names = dict(zip(added, shown, strict=True))
    columns = drawing.columns.assign(**{names[name]: values for name, values in added.items()})
    categories = (*drawing.categories, *(names[name] for name in classes))
    return replace(drawing, columns=columns, categories=categories)


def _predicted(path: Path, ids: np.ndarray) -> tuple[dict[str, np.ndarray], bool]:
    """Return the columns (n,) of a task for records with these ids (n,), and whether it predicts classes."""
    about = read_json(path.with_suffix(".json"))
    if about.get("task_level_type") == "token_level":
        # Lists as long as sequences colour nothing.
        return {}, False
    task, kind = path.stem, about["task_type"]
    header = pd.read_csv(path, dtype=str, nrows=0).columns
    best = "top1_" if "top1_label" in header else ""
    found = _cells(path, "seq_id", [f"{best}label", f"{best}prob"], ids)
    label, probability = found[f"{best}label"], found[f"{best}prob"]
    if kind == "regression":
        return {task: label}, False
    if kind == "multi_label":
        # A cell has a list of labels, and one of their probabilities, which colour nothing.
        return {task: np.array([_joined(text) for text in label], dtype=object)}, True
    return {task: label, f"{task} probability": probability}, True


def _joined(text: str) -> str:
    """Return a list of labels, as Python prints it, as words.

    >>> _joined("['Nucleus', 'Cytoplasm']")
    'Nucleus, Cytoplasm'
    """
    return ", ".join(map(str, ast.literal_eval(text))) if text else ""


def _cells(path: Path, key: str, names: Iterable[str] | Mapping[str, str], ids: np.ndarray) -> dict[str, np.ndarray]:
    """Return columns (n,) of a table, as text, for records with these ids (n,); empty where it has no row.

    key: the column of ids. The table is read in parts.
    """
    wanted, kept = [*names], []
    separator = "," if path.suffix == ".csv" else "\t"
    with pd.read_csv(
        path, sep=separator, dtype=str, keep_default_na=False, usecols=[key, *wanted], chunksize=_ROWS_AT_ONCE
    ) as parts:
        for part in parts:
            kept.append(part[part[key].isin(ids)])
    found = pd.concat(kept).set_index(key).reindex(ids, fill_value="")
    return {name: found[name].to_numpy(dtype=object) for name in wanted}
