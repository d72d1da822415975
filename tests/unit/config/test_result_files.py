from pathlib import Path

from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import Dataset
from lucaflow.config.result_files import (
    comparison_files,
    exports_of,
    figures_of,
    final_files,
    neighbour_files,
    prediction_files,
)
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.readers import Columns

CONFIG = {
    "figures": {"tsne": False, "umap": False}, "export": [],
    "neighbours": {"k": "auto", "vector": "mean", "search": "exact"},
}  # fmt: skip


def dataset(name="d", *, pairs=False, label=None, tasks=()):
    columns, model = Columns(label=label, pairs=pairs), Model("mini", 1)
    return Dataset(name, Path("x"), "prot", columns, model, tasks=tasks, is_embedded=not pairs)


def test_a_dataset_ends_in_embeddings_a_map_and_its_records():
    found = final_files([dataset()], EmbeddingOptions(), CONFIG)
    assert "results/d/records.tsv" in found
    assert "results/d/mini-1/embeddings.h5" in found
    assert "results/d/mini-1/verified.json" in found
    assert "results/d/mini-1/figures/map.png" in found
    assert len(found) == len(set(found))


def test_pairs_end_in_predictions_alone():
    found = final_files([dataset(pairs=True, tasks=("T",))], EmbeddingOptions(), CONFIG)
    assert "results/d/predictions/T.csv" in found
    assert not any("mini-1" in path for path in found)


def test_labels_bring_metrics():
    assert "results/d/predictions/T.metrics.tsv" in prediction_files(dataset(label="truth", tasks=("T",)))
    assert "results/d/predictions/T.metrics.tsv" not in prediction_files(dataset(tasks=("T",)))


def test_neighbours_need_vectors_and_labels_bring_metrics():
    asked = CONFIG["neighbours"]
    assert "results/d/mini-1/neighbours.tsv" in final_files([dataset()], EmbeddingOptions(), CONFIG)
    assert "transferred_labels.tsv" in neighbour_files(EmbeddingOptions(), asked, labelled=True)
    assert neighbour_files(EmbeddingOptions(outputs=("matrix",)), asked, labelled=True) == []
    assert neighbour_files(EmbeddingOptions(), {**asked, "k": 0}, labelled=True) == []


def test_figures_follow_the_outputs():
    neither = CONFIG["figures"]
    assert figures_of(EmbeddingOptions(outputs=("contacts",)), neither) == ["contacts.png", "contacts.svg"]
    maps = ["map.png", "map.svg", "map.html", "umap.png", "umap.svg", "umap.html"]
    assert figures_of(EmbeddingOptions(), {**neither, "umap": True}) == [*maps, "lengths.png", "lengths.svg"]


def test_exports_follow_the_outputs():
    options = EmbeddingOptions(outputs=("mean", "max", "matrix"))
    assert exports_of(options, ["npy", "anndata"]) == ["mean.npy", "max.npy", "ids.tsv", "embeddings.h5ad"]
    assert exports_of(options, []) == []


def test_a_comparison_ends_in_a_table_and_a_figure():
    assert comparison_files(dataset(), "precisions") == [
        "results/d/mini-1/figures/precisions.tsv",
        "results/d/mini-1/figures/precisions.png",
        "results/d/mini-1/figures/precisions.svg",
    ]
