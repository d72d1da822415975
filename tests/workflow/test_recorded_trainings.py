"""The recorded trainings of LucaOneTasks through whole runs: their folders of data and options, from files to models.

Recorded are matrices and first weights, which no run of the workflow can be given. So each training is run on the
embeddings of an encoder, and repeated by the library alone on the recorded rows and options: by the loop that
tests/golden/test_training.py compares with the recorded numbers. Both must agree.
"""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from golden_cases import golden_folder
from recorded_trainings import RecordedTraining, names_in, read_training

from lucaflow.downstream.conversion import load_head
from lucaflow.errors import ConfigError
from lucaflow.training.batches import Example
from lucaflow.training.initial import new_head
from lucaflow.training.metric_names import primary_metric
from lucaflow.training.options import structure_of
from lucaflow.training.trainer import Trained, TrainingData, train

GOLDEN = golden_folder("training")
PARTS = ("train", "dev", "test")
TOLERANCE = {"atol": 1e-5, "rtol": 1e-4}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def can_be_stated(recorded: RecordedTraining) -> bool:
    """Return whether a report has the metric that chooses the epoch, which a run requires."""
    try:
        return bool(primary_metric(recorded.options.task_type, recorded.options.best_metric))
    except ConfigError:
        return False


def write_folder(workflow, name: str, recorded: RecordedTraining) -> dict[str, str]:
    """Write the dataset folder of a recorded training; return its row in the table of datasets."""
    rows, header = recorded.record["rows"], recorded.record["header"]
    for part in PARTS:
        path = workflow.write(f"data/{name}/{part}/{part}.csv", "")
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows[part]])
    options = recorded.options
    if options.task_type != "regression":
        names = [f"c{number}" for number in range(recorded.record["case"]["C"])]
        workflow.write(f"data/{name}/label.txt", "\n".join(["label", *names]) + "\n")
    kind = {"kind": "pair"} if options.sides == 2 else {"seq_type": rows["train"][0][1]}
    return {"dataset": name, "path": f"data/{name}", **kind}


def repeated(results: Path, recorded: RecordedTraining, task: Path) -> Trained:
    """Train by the library alone: on the recorded rows that have a label, and the matrices that the run embedded."""
    options, classes = recorded.options, recorded.record["case"]["C"]
    sides = ("digest",) if options.sides == 1 else ("digest_a", "digest_b")
    used = {row["id"]: tuple(row[side] for side in sides) for row in table(task / "splits.tsv")}
    matrices: dict[str, np.ndarray] = {}
    for path in results.glob("heads/mini-1/*/*.h5"):
        with h5py.File(path) as shard:
            matrices |= {digest: matrix[:] for digest, matrix in shard["matrix"].items()}

    def examples(part: str) -> tuple[Example, ...]:
        found = recorded.examples(part)
        named = [replace(each, id=" ".join(each.sequences)) for each in found]
        return tuple(replace(each, sequences=used[each.id]) for each in named if each.id in used)

    data = TrainingData(examples("train"), examples("dev"), examples("test"))
    width = next(iter(matrices.values())).shape[1]
    head = new_head(structure_of(options, (width,) * options.sides, classes), options.seed)
    return train(head, data, options, matrices.__getitem__)


def dense(values: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array, also if it is in the layout in which oneDNN multiplies fastest."""
    return (values.to_dense() if values.is_mkldnn else values).numpy()


@pytest.mark.long
def test_recorded_trainings_through_a_run(workflow):
    recorded = {name: read_training(GOLDEN, name) for name in names_in(GOLDEN)}
    stated = {name: each for name, each in recorded.items() if can_be_stated(each)}
    if not stated:
        pytest.skip(f"{GOLDEN} has no recorded trainings")
    workflow.datasets(*(write_folder(workflow, name, each) for name, each in stated.items()))
    workflow.config["embedding"] = {"outputs": []}
    workflow.config["training"] = {
        f"of_{name}": {
            "dataset": name,
            **{key: list(value) if isinstance(value, tuple) else value for key, value in asdict(each.options).items()},
        }
        for name, each in stated.items()
    }
    workflow.run().succeeded()
    for name, each in stated.items():
        results = workflow.directory / "results" / name
        task = results / f"training/of_{name}"
        parts = [row["split"] for row in table(task / "splits.tsv")]
        with_label = sum(row[-1] != "-100" for part in PARTS for row in each.record["rows"][part])
        assert len(parts) == with_label, name
        assert set(parts) == set(PARTS), name
        trained = repeated(results, each, task)
        curves = table(task / "mini-1/curves.tsv")
        assert len(curves) == len(trained.records), name
        for row, record in zip(curves, trained.records, strict=True):
            assert float(row["train_loss"]) == pytest.approx(record.train_loss, rel=1e-4), name
            assert bool(int(row["improved"])) == record.improved, name
            for metric, value in record.dev.items():
                if not isinstance(value, list | dict) and not math.isnan(value):
                    assert float(row[f"dev_{metric}"]) == pytest.approx(value, abs=1e-4, rel=1e-4), (name, metric)
        found, expected = load_head(task / "mini-1/converted").state_dict(), trained.head.state_dict()
        assert found.keys() == expected.keys(), name
        for key, values in expected.items():
            # Attention without positions does not see the biases of its keys.
            if not key.endswith("qkv_proj.bias"):
                np.testing.assert_allclose(dense(found[key]), dense(values), **TOLERANCE, err_msg=f"{name} {key}")
