"""Write the nearest neighbours of a dataset's records, and the labels that they suggest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lucaflow.files.writing import replacing
from lucaflow.neighbours.comparison import Suggested
from lucaflow.neighbours.datasets import Labelled, Searched
from lucaflow.neighbours.groups import Groups
from lucaflow.neighbours.sequence_search import BestHits

COLUMNS = ("id", "rank", "neighbour", "similarity", "label", "neighbour_label")
GROUP_COLUMNS = ("id", "group", "membership", "stability")
TRANSFERRED_COLUMNS = (
    "id", "label", "similarity", "votes", "precision_at_similarity", "label_given",
    "best_hit", "best_hit_identity", "best_hit_label",
)  # fmt: skip
_ROWS_AT_ONCE = 1_000_000


def write_neighbours(searched: Searched, path: Path) -> None:
    """Write a row for each record and each of its neighbours, the most similar first.

    A neighbour is another sequence, named by the first of its records.
    """
    with replacing(path) as temporary:
        write_tsv(pd.DataFrame(columns=list(COLUMNS)), temporary)
        for part in _parts_of(searched):
            write_tsv(part, temporary, more=True)


def _parts_of(searched: Searched) -> Iterator[pd.DataFrame]:
    dataset, reference, neighbours = searched.dataset, searched.reference, searched.neighbours
    k = neighbours.rows.shape[1]
    at_once = max(1, _ROWS_AT_ONCE // max(1, k))
    names, labels = reference.ids[reference.first], dataset.labels.to_numpy()
    of_sequences = np.array([*reference.names, ""], dtype=object)[reference.codes]
    for start in range(0, len(dataset.ids), at_once):
        part = slice(start, start + at_once)
        rows = neighbours.rows[dataset.sequence[part]].ravel()
        columns = {
            "id": np.repeat(dataset.ids[part], k),
            "rank": np.tile(np.arange(1, k + 1), len(dataset.ids[part])),
            "neighbour": names[rows],
            "similarity": neighbours.similarity[dataset.sequence[part]].ravel(),
            "label": np.repeat(labels[part], k),
            "neighbour_label": of_sequences[rows],
        }
        yield pd.DataFrame(columns)[rows >= 0]


def write_groups(dataset: Labelled, groups: Groups | None, path: Path) -> None:
    """Write the group of each record; no rows without groups."""
    columns = {}
    if groups is not None:
        number = groups.number[dataset.sequence]
        columns = {
            "id": dataset.ids,
            "group": groups.names()[dataset.sequence],
            "membership": np.where(number < 0, np.nan, groups.membership[dataset.sequence]),
            "stability": np.append(groups.stability, np.nan)[number],
        }
    with replacing(path) as temporary:
        write_tsv(pd.DataFrame(columns, columns=list(GROUP_COLUMNS)), temporary)


def write_labels(searched: Searched, suggested: Suggested | None, path: Path) -> None:
    """Write the label that the neighbours of each record suggest; no rows if they suggest none."""
    columns = {} if suggested is None else _transferred(searched, suggested)
    with replacing(path) as temporary:
        write_tsv(pd.DataFrame(columns, columns=list(TRANSFERRED_COLUMNS)), temporary)


def _transferred(searched: Searched, suggested: Suggested) -> dict[str, object]:
    of_vectors, rows = suggested.by_vectors, searched.dataset.sequence
    reference = searched.reference
    with_none = np.array([*reference.names, ""], dtype=object)
    hits = suggested.sequences.of_dataset if suggested.sequences else None
    return {
        "id": searched.dataset.ids,
        "label": with_none[of_vectors.label[rows]],
        "similarity": of_vectors.similarity[rows],
        "votes": [f"{votes}/{of}" for votes, of in zip(of_vectors.votes[rows], of_vectors.of[rows], strict=True)],
        "precision_at_similarity": suggested.precision.at(of_vectors.similarity)[rows],
        "label_given": searched.dataset.labels.to_numpy(),
        **({} if hits is None else _best_hits(reference, hits, rows)),
    }


def _best_hits(reference: Labelled, hits: BestHits, rows: np.ndarray) -> dict[str, object]:
    """Return the best hit of each record by MMseqs2. rows: (N,) its distinct sequence."""
    names = np.append(reference.ids[reference.first], "")
    return {
        "best_hit": names[hits.rows[rows]],
        "best_hit_identity": hits.identity[rows],
        "best_hit_label": np.array([*reference.names, ""], dtype=object)[hits.codes(reference.codes)[rows]],
    }


def write_tsv(table: pd.DataFrame, path: Path, more: bool = False) -> None:
    """Write a table, or add rows to one. Numbers have four digits, and a number that is not stated is `-`."""
    table.to_csv(
        path, sep="\t", index=False, header=not more, mode="a" if more else "w", float_format="%.4f", na_rep="-",
        lineterminator="\n",
    )  # fmt: skip
