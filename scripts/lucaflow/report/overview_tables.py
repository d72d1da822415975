"""Which tables of a dataset say something of its records, and which of their columns does the overview take?"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lucaflow.files.json_files import read_json
from lucaflow.files.receipts import Entry, is_current, receipt_path, recorded_outputs, recording
from lucaflow.report.all_records import Source, rows_of, sources_of_records, write_overview
from lucaflow.versions import OVERVIEW_VERSION

FILES = ("overview.tsv", "overview.html")

# The columns of a model's tables that the overview takes, and their names there.
OF_MODELS: Mapping[str, Mapping[str, str]] = {
    "neighbours.tsv": {"neighbour": "nearest_neighbour", "similarity": "similarity"},
    "groups.tsv": {"group": "group"},
    "transferred_labels.tsv": {"label": "suggested_label", "precision_at_similarity": "suggested_label_precision"},
}
# Of sequences by a language model.
SCORES = "scores/sequences.tsv"
_SCORES = tuple(SCORES.split("/"))
OF_SCORES = {"pseudo_perplexity": "pseudo_perplexity"}
COMPARED = "neighbours.metrics.tsv"
METRICS = ("accuracy", "balanced accuracy", "silhouette")
# What a search with sequences finds is the same by all models.
OF_SEQUENCES = ("best_hit", "best_hit_identity", "best_hit_label")
OF_RECORDS = ("records.tsv", "sequences/labels.tsv", "sequences/columns.tsv")


def tables_of(
    folder: Path, models: Sequence[str], scored: Sequence[str], tasks: Sequence[str], compared: bool = True
) -> list[Path]:
    """Return the tables that the overview of a dataset joins.

    folder: of the dataset's results; models: the names of those that embed it; scored: of those that give likelihoods;
    tasks: those that predict; compared: whether the metrics of labels are about this dataset, not about a reference.
    """
    names = (*OF_MODELS, *[COMPARED] * compared)
    of_models = [folder / model / name for model in models for name in names]
    own = [folder / name for name in OF_RECORDS]
    of_tasks = [folder / f"predictions/{task}.csv" for task in tasks]
    of_models = [*filter(Path.is_file, of_models), *(folder / model / SCORES for model in scored)]
    return [*own, *of_models, *(path for path in of_tasks if not _is_of_residues(path))]


def _is_of_residues(predictions: Path) -> bool:
    """Return whether a task predicts each residue: cells with lists as long as sequences are none for an overview."""
    about = predictions.with_suffix(".json")
    return about.is_file() and read_json(about).get("task_level_type") == "token_level"


def update_overview(folder: Path, tables: Sequence[Path]) -> dict[Path, Entry]:
    """Write overview.tsv and overview.html of a dataset, unless they are of these tables; return their checksums.

    tables: those of `tables_of`. Raises StoreError if one of them is not as its step wrote it.
    """
    receipt = receipt_path(folder, "overview")
    settings = {"algorithm": OVERVIEW_VERSION, "tables": [path.relative_to(folder).as_posix() for path in tables]}
    if not is_current(receipt, settings):
        with recording(receipt, settings, [folder / name for name in FILES], tables):
            _write_overview(folder, tables)
    return recorded_outputs(receipt)


def _write_overview(folder: Path, tables: Sequence[Path]) -> None:
    records, labels, columns, *others = tables
    of_models = [path for path in others if path.suffix == ".tsv"]
    tasks = [path for path in others if path not in of_models]
    added = [*sources_of_models(of_models), *map(source_of_task, tasks)]
    taken = [name for source in added for name in source.columns.values()]
    rows = rows_of(records, [*sources_of_records(labels, columns, taken), *added])
    compared = comparison_of([path for path in of_models if path.name == COMPARED])
    write_overview(rows, folder / "overview.tsv", folder.name, compared)


def sources_of_models(paths: list[Path]) -> Iterator[Source]:
    """Yield the tables of models; of several models the names of columns start with the model's."""
    several = len({_model_of(path) for path in paths}) > 1
    of_sequences = {name: name for name in OF_SEQUENCES}
    for path in paths:
        if columns := OF_SCORES if path.parts[-2:] == _SCORES else OF_MODELS.get(path.name):
            prefix = f"{_model_of(path)} " if several else ""
            found = {name: prefix + shown for name, shown in columns.items()}
            if path.name == "transferred_labels.tsv":
                found, of_sequences = found | of_sequences, {}
            yield Source(path, "id", found)


def _model_of(path: Path) -> str:
    return path.parents[1 if path.parts[-2:] == _SCORES else 0].name


def source_of_task(path: Path) -> Source:
    """Return the predictions of a task: the label, or the best of several, and its probability."""
    with path.open(encoding="utf-8", newline="") as handle:
        header = next(csv.reader(handle))
    best = "top1_" if "top1_label" in header else ""
    return Source(path, "seq_id", {f"{best}label": path.stem, f"{best}prob": f"{path.stem} probability"})


def comparison_of(paths: list[Path]) -> list[list[str]]:
    """Return how well the labels agree with those of neighbours, by each model and by what is compared with it."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in paths:
        # Labels that are dealt at random have other neighbours by each model.
        beside = f" ({path.parent.name})" if len(paths) > 1 else ""
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t"):
                if row["metric"] in METRICS:
                    name = row["vectors"] + beside * ("random" in row["vectors"])
                    key = row["among"], name
                    cells = found.setdefault(key, [name, row["among"], row["sequences"], *[""] * len(METRICS)])
                    cells[3 + METRICS.index(row["metric"])] = f"{row['value']} ({row['low']} to {row['high']})"
    order = sorted(found, key=lambda key: key[0] != "all")
    return [["vectors", "among", "sequences", *METRICS], *(found[key] for key in order)]
