"""Training on stored vectors, and predicting with them in the same run."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from lucaflow.downstream.conversion import load_head
from lucaflow.downstream.models import read_head, tasks_in
from lucaflow.store.embeddings import open_embeddings

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def table(path: Path, delimiter: str = "\t") -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_a_network_is_trained_on_the_vectors_of_the_dataset_and_predicts_from_them(workflow):
    """No matrix is made: neither for the labelled dataset, which has these vectors, nor for the other one."""
    draw = random.Random(4)
    kinds = {"nucleus": "KRS", "membrane": "LIVF"}
    rows = [
        (f"p{n}", "M" + "".join(draw.choices([*kinds.values()][n % 2] * 4 + LETTERS, k=30)), [*kinds][n % 2])
        for n in range(60)
    ]
    workflow.write("p.csv", "id,seq,where\n" + "".join(",".join(row) + "\n" for row in rows))
    workflow.fasta("q.fasta", {"q1": "MKRKRSKRRKSKRKS", "q2": "MLLIVFLLIVFFLLI"})
    common = {"seq_type": "prot", "tasks": "Where, Largest"}
    workflow.datasets(
        {"dataset": "p", "path": "p.csv", "label_column": "where", **common},
        {"dataset": "q", "path": "q.fasta", **common},
    )
    workflow.config["embedding"] = {"outputs": ["mean"]}
    stated = {"dataset": "p", "task_type": "binary_class", "num_train_epochs": 3, "learning_rate": 0.002}
    workflow.config["training"] = {
        "Where": {**stated, "input_type": "vector"},
        "Largest": {**stated, "input_type": "vector", "vector": "max"},
    }
    run = workflow.run().succeeded()
    assert run.jobs["embed_for_heads"] == 2, "the largest values alone, of both datasets"
    results = workflow.directory / "results"
    for task in ("Where", "Largest"):
        model = results / f"p/training/{task}/mini-1"
        (found,) = tasks_in(model / "head", task)
        assert (found.input_type, "/vector/" in found.folder) == ("vector", True)
        assert read_head(model / "converted").reading.output == {"Where": "mean", "Largest": "max"}[task]
        evaluated = {row["id"]: row for row in table(model / "predictions.csv", ",")}
        predicted = {row["seq_id"]: row for row in table(results / f"p/predictions/{task}.csv", ",")}
        for name, row in evaluated.items():
            assert float(predicted[name]["prob"]) == pytest.approx(float(row["probability"]), abs=1e-5)
        assert [row["seq_id"] for row in table(results / f"q/predictions/{task}.csv", ",")] == ["q1", "q2"]

    # What the network reads is the vector that the dataset has.
    head = load_head(results / "p/training/Where/mini-1/converted")
    with open_embeddings(results / "p/mini-1/embeddings.h5") as embeddings:
        vectors = np.stack([embeddings[name]["mean"] for name, _, _ in rows[:3]])
    outputs = head.logits(head.vectors(0, torch.from_numpy(vectors), [1] * 3))
    prob = head.predictions(outputs).flatten().tolist()
    predicted = table(results / "p/predictions/Where.csv", ",")
    assert [float(row["prob"]) for row in predicted[:3]] == pytest.approx(prob, abs=1e-6)
    assert "Nothing to be done" in workflow.run("--cores", "1").succeeded().output
