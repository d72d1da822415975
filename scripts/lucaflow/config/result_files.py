"""Which files does a run make? All paths are relative to the working directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import Dataset
from lucaflow.config.scores import ScoreOptions
from lucaflow.engine.options import EmbeddingOptions

OF_RUN = tuple(
    f"results/{name}" for name in ("summary.tsv", "summary.html", "overview.html", "validation.html", "SHA256SUMS")
)
OF_DATASET = ("run.yaml", "run.html", "records.tsv")
# Bytes of a number in a CSV, with its comma; larger tables than this are compressed.
CSV_NUMBER = 13
_LARGEST_CSV = 100_000_000
OF_EMBEDDINGS = ("embeddings.h5", "verified.json")
# Of a training: once for the task, and for each model that embeds its dataset.
OF_DIVISION = ("splits.tsv", "leakage.tsv")
OF_TASK = ("comparison.tsv", "comparison.png", "comparison.svg")
FILES_OF_TRAINING = ("metrics.tsv", "curves.tsv", "predictions.csv", "resamples.tsv", "training.json", "report.html")


class Training(Protocol):
    """A training, by the names of its task, its dataset and the models that embed it."""

    @property
    def task(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def models(self) -> tuple[Model, ...]: ...


def folder_of(dataset: Dataset) -> str:
    """Return the folder of the embeddings of a dataset by its model."""
    return f"results/{dataset.name}/{dataset.model.name}"


def final_files(
    datasets: Iterable[Dataset],
    options: EmbeddingOptions,
    config: Mapping[str, Any],
    trainings: Iterable[Training] = (),
) -> list[str]:
    """Return the results that are known before anything runs. config: the resolved configuration."""
    trained = list(trainings)
    final = [*OF_RUN, *training_files(trained)]
    trained_on = {training.dataset for training in trained}
    for dataset in datasets:
        final += [f"results/{dataset.name}/{name}" for name in OF_DATASET]
        final += [f"results/{dataset.name}/heads/plan.json"] * bool(dataset.tasks or dataset.name in trained_on)
        final += prediction_files(dataset)
        for each in dataset.by_model() if dataset.is_embedded else []:
            folder = folder_of(each)
            final += [f"{folder}/{name}" for name in OF_EMBEDDINGS]
            final += [f"{folder}/figures/{name}" for name in figures_of(options, config["figures"])]
            final += [
                f"{folder}/{name}"
                for name in neighbour_files(options, config["neighbours"], each.neighbours_have_labels)
            ]
            final += [f"{folder}/export/{name}" for name in exports_of(options, config["export"])]
        final += score_files(dataset, config)
    return final


def score_files(dataset: Dataset, config: Mapping[str, Any]) -> list[str]:
    """Return the scores of a dataset by the language model of each of its models."""
    if not dataset.is_scored:
        return []
    names = ScoreOptions.from_config(config["scores"]).files(dataset.variants is not None)
    return [f"{folder_of(each)}/scores/{name}" for each in dataset.by_model() for name in names]


def has_likelihoods(dataset: Dataset, config: Mapping[str, Any]) -> bool:
    """Return whether each sequence of a dataset gets its likelihood by a language model."""
    return dataset.is_scored and "likelihood" in config["scores"]["outputs"]


def figures_of(options: EmbeddingOptions, figures: Mapping[str, bool]) -> list[str]:
    """Return the names of the figures of a dataset. A map needs vectors, or matrices to pool.

    figures: this section of the configuration.

    >>> figures_of(EmbeddingOptions(outputs=("matrix", "contacts")), {"tsne": False, "umap": False})
    ['map.png', 'map.svg', 'map.html', 'lengths.png', 'lengths.svg', 'contacts.png', 'contacts.svg']
    """
    chosen = [name for name in ("tsne", "umap") if figures[name]]
    maps = ["map", *chosen] if set(options.outputs) - {"contacts"} else []
    names = [f"{name}.{suffix}" for name in maps for suffix in ("png", "svg", "html")]
    pictures = ["lengths"] * bool(maps) + ["contacts"] * ("contacts" in options.outputs)
    return names + [f"{name}.{suffix}" for name in pictures for suffix in ("png", "svg")]


def neighbour_files(options: EmbeddingOptions, neighbours: Mapping[str, Any], labelled: bool) -> list[str]:
    """Return the names of the tables of nearest neighbours. neighbours: this section of the configuration.

    labelled: whether the dataset in which they are searched has labels.

    >>> neighbour_files(EmbeddingOptions(), {"k": "auto", "vector": "mean", "search": "exact"}, labelled=False)
    ['neighbours.tsv', 'groups.tsv', 'figures/similarity.png', 'figures/similarity.svg']
    """
    if not neighbours["k"] or neighbours["vector"] not in options.outputs:
        return []
    metrics = ["neighbours.metrics.tsv", "neighbours.metrics.html"]
    # Without labels they have the recall of an approximate search.
    of_labels = ["transferred_labels.tsv", *metrics] if labelled else metrics * (neighbours["search"] == "approximate")
    pictures = [f"figures/similarity.{suffix}" for suffix in ("png", "svg")]
    return ["neighbours.tsv", "groups.tsv", *pictures, *of_labels]


def exports_of(options: EmbeddingOptions, exports: Sequence[str]) -> list[str]:
    """Return the file names of the requested exports, without `csv`, whose name depends on its size (`csv_suffix`).

    >>> exports_of(EmbeddingOptions(outputs=("mean", "cls")), ["npy", "lucaone"])
    ['mean.npy', 'cls.npy', 'ids.tsv', 'lucaone']
    """
    names = {
        "standalone": ["standalone.h5"],
        "by_id": ["by_id.h5"],
        "npy": [*(f"{name}.npy" for name in options.vectors), "ids.tsv"],
        "parquet": ["embeddings.parquet"],
        "csv": [],
        "anndata": ["embeddings.h5ad"],
        "lucaone": ["lucaone"],
    }
    return [name for export in exports for name in names[export]]


def csv_suffix(records: int, numbers: int) -> str:
    """Return the ending of the export `csv`, which is compressed above 100 MB. numbers: of each record.

    >>> csv_suffix(3000, 2560), csv_suffix(4000, 2560)
    ('csv', 'csv.gz')
    """
    return "csv" if records * numbers * CSV_NUMBER <= _LARGEST_CSV else "csv.gz"


def export_steps(exports: Sequence[str]) -> list[str]:
    """Return the names of the steps of the requested exports, without `csv`.

    >>> export_steps(["npy", "csv", "anndata"])
    ['npy', 'h5ad']
    """
    return ["h5ad" if name == "anndata" else name for name in exports if name != "csv"]


def prediction_files(dataset: Dataset) -> list[str]:
    """Return the results of the tasks of a dataset."""
    suffixes = prediction_suffixes(bool(dataset.columns.label))
    return [f"results/{dataset.name}/predictions/{task}{suffix}" for task in dataset.tasks for suffix in suffixes]


def prediction_suffixes(labelled: bool) -> list[str]:
    """Return the suffixes of the results of a task. With labels, they include metrics of the predictions."""
    return [".csv", ".failed.csv", ".json", ".png", ".svg", ".html", *[".metrics.tsv", ".metrics.html"] * labelled]


def prediction_reports(datasets: Iterable[Dataset]) -> list[str]:
    """Return the reports of predictions, which say what was predicted by which model."""
    return [f"results/{dataset.name}/predictions/{task}.json" for dataset in datasets for task in dataset.tasks]


def training_files(trainings: Iterable[Training]) -> list[str]:
    """Return the results of trainings, without the trained models."""
    found = []
    for training in trainings:
        folder = f"results/{training.dataset}/training/{training.task}"
        found += [f"{folder}/{name}" for name in (*OF_DIVISION, *OF_TASK)]
        found += [f"{folder}/{model.name}/{name}" for model in training.models for name in FILES_OF_TRAINING]
    return found


def comparison_files(dataset: Dataset, step: str) -> list[str]:
    """Return the table and the pictures of a comparison. step: `precisions` or `stitchings`."""
    return [f"{folder_of(dataset)}/figures/{step}.{suffix}" for suffix in ("tsv", "png", "svg")]
