"""Write overview.tsv of a dataset, all that is known of each record in a row, and the page beside it."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from lucaflow.files.receipts import recording_step
from lucaflow.logs import reporting_to
from lucaflow.report.all_records import Source, rows_of, sources_of_records, write_overview

READ = ("records", "labels", "columns", "of_models", "predictions")
# The columns of a model's tables that the overview takes, and their names there.
OF_MODELS: Mapping[str, Mapping[str, str]] = {
    "neighbours.tsv": {"neighbour": "nearest_neighbour", "similarity": "similarity"},
    "transferred_labels.tsv": {"label": "suggested_label", "precision_at_similarity": "suggested_label_precision"},
}
COMPARED = "neighbours.metrics.tsv"
METRICS = ("accuracy", "balanced accuracy")


def main() -> None:
    """Join the tables of a dataset's records, models and tasks."""
    of_models = [Path(path) for path in snakemake.input.of_models]
    added = [*sources_of_models(of_models), *map(source_of_task, map(Path, snakemake.input.predictions))]
    taken = [name for source in added for name in source.columns.values()]
    own = sources_of_records(Path(snakemake.input.labels), Path(snakemake.input.columns), taken)
    rows = rows_of(Path(snakemake.input.records), [*own, *added])
    compared = [path for path in of_models if path.name == COMPARED]
    write_overview(rows, Path(snakemake.output.table), snakemake.wildcards.dataset, comparison_of(compared))


def sources_of_models(paths: list[Path]) -> Iterator[Source]:
    """Yield the tables of models; of several models the names of columns start with the model's."""
    several = len({path.parent for path in paths}) > 1
    for path in paths:
        if columns := OF_MODELS.get(path.name):
            prefix = f"{path.parent.name} " if several else ""
            yield Source(path, "id", {name: prefix + shown for name, shown in columns.items()})


def source_of_task(path: Path) -> Source:
    """Return the predictions of a task: the label, or the best of several, and its probability."""
    with path.open(encoding="utf-8", newline="") as handle:
        header = next(csv.reader(handle))
    best = "top1_" if "top1_label" in header else ""
    return Source(path, "seq_id", {f"{best}label": path.stem, f"{best}prob": f"{path.stem} probability"})


def comparison_of(paths: list[Path]) -> list[list[str]]:
    """Return how well the labels agree with those of neighbours, by each model and by what is compared with it."""
    found: dict[str, list[str]] = {}
    for path in paths:
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t"):
                if row["metric"] in METRICS:
                    cells = found.setdefault(row["vectors"], [row["vectors"], *[""] * len(METRICS)])
                    cells[1 + METRICS.index(row["metric"])] = f"{row['value']} ({row['low']} to {row['high']})"
    return [["vectors", *METRICS], *found.values()]


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, *READ):
        main()
