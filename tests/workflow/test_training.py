"""Training on one's own labels, from a table to predictions in the same run."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lucaflow.downstream.conversion import load_head

KINDS = {"nucleus": "KRKRS", "membrane": "LLIVF", "secreted": "DEGNQ"}
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
NEEDED = ("normalize", "divide", "plan_heads", "embed_for_heads", "train", "predict", "predict_and_evaluate")


def needed(run):
    return {rule: run.jobs[rule] for rule in NEEDED if run.jobs[rule]}


def labelled_rows(count: int = 60, seed: int = 1) -> list[list[str]]:
    """Return rows of id, sequence and label, where the composition says the label."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        kind = [*KINDS][number % 3]
        letters = (draw.choice(KINDS[kind] * 3 + LETTERS) for _ in range(draw.randint(25, 45)))
        rows.append([f"p{number}", "M" + "".join(letters), kind])
    return rows


def write(workflow, rows) -> None:
    workflow.write("p.csv", "id,seq,where\n" + "".join(",".join(row) + "\n" for row in rows))


def prepare(workflow, rows, **options) -> None:
    """A labelled table on which a task is trained, and a file of other sequences for which it predicts."""
    write(workflow, rows)
    workflow.fasta("q.fasta", {"q1": "MKRKRSKRRKSKRKS", "q2": "MLLIVFLLIVFFLLI"})
    common = {"seq_type": "prot", "tasks": "MyTask"}
    workflow.datasets(
        {"dataset": "p", "path": "p.csv", "label_column": "where", **common},
        {"dataset": "q", "path": "q.fasta", **common},
    )
    workflow.config["embedding"] = {"outputs": []}
    stated = {"dataset": "p", "task_type": "multi_class", "num_train_epochs": 3, "learning_rate": 0.002}
    workflow.config["training"] = {"MyTask": {**stated, **options}}


def table(path: Path, delimiter: str = "\t") -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def results_of_training(workflow) -> dict[str, str]:
    """Return the SHA-256 of each file of a training, its own state apart."""
    folder = workflow.directory / "results/p"
    files = [*folder.glob("training/**/*"), *folder.glob("predictions/*"), *folder.glob("receipts/*.json")]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file() and not path.name.startswith(".")
    }


def test_from_a_table_to_predictions_in_one_run(workflow):
    rows = [*labelled_rows(), ["u", "MKRKRSKRKRKSLL", ""]]
    prepare(workflow, rows)
    run = workflow.run().succeeded()
    once = {"divide": 1, "train": 1, "predict": 1, "predict_and_evaluate": 1}
    assert needed(run) == {"normalize": 2, "plan_heads": 2, "embed_for_heads": 2, **once}

    task = workflow.directory / "results/p/training/MyTask"
    splits = table(task / "splits.tsv")
    parts = {row["id"]: row["split"] for row in splits}
    assert [row["id"] for row in splits] == [row[0] for row in rows[:-1]]
    assert {row["split"] for row in splits} == {"train", "dev", "test"}
    assert {row["split"] for row in table(task / "leakage.tsv")} == {"dev", "test"}

    model = task / "mini-1"
    metrics = table(model / "metrics.tsv")
    baselines = {"majority", "composition", "mean_vector", "best_hit"}
    assert {row["model"] for row in metrics if row["split"] == "test"} == {"mini-1", *baselines}
    assert [row["epoch"] for row in table(model / "curves.tsv")] == ["1", "2", "3"]
    evaluated = {row["id"]: row for row in table(model / "predictions.csv", ",")}
    assert {name: row["split"] for name, row in evaluated.items()} == {
        name: part for name, part in parts.items() if part != "train"
    }
    assert "macro F1" in (model / "report.html").read_text()

    # What the run predicts is what was evaluated, and says which rows the model was trained on.
    predicted = table(workflow.directory / "results/p/predictions/MyTask.csv", ",")
    assert {row["seq_id"]: row["split"] for row in predicted} == {**parts, "u": ""}
    for row in predicted:
        if row["seq_id"] in evaluated:
            other = evaluated[row["seq_id"]]
            assert row["label"] == other["predicted"]
            assert float(row["prob"]) == pytest.approx(float(other["probability"]), abs=1e-5)
    tested = [*parts.values()].count("test")
    against = table(workflow.directory / "results/p/predictions/MyTask.metrics.tsv")
    assert {row["rows"] for row in against} == {str(tested)}
    assert json.loads((workflow.directory / "results/p/predictions/MyTask.json").read_text())["test_rows"] == tested
    assert "test rows alone" in (workflow.directory / "results/p/predictions/MyTask.metrics.html").read_text()
    others = table(workflow.directory / "results/q/predictions/MyTask.csv", ",")
    assert [row["seq_id"] for row in others] == ["q1", "q2"]
    assert "split" not in others[0]

    # The model in LucaOneTasks' layout is the one that predicts.
    (published,) = model.glob(
        "head/models/MyTask/protein/multi_class/luca_base/matrix/*/checkpoint-*/model.safetensors"
    )
    ours = load_head(model / "converted").state_dict()
    assert {name: tensor.tolist() for name, tensor in load_file(published).items()} == {
        name: tensor.tolist() for name, tensor in ours.items()
    }

    # Threads change nothing.
    assert "Nothing to be done" in workflow.run("--cores", "1").succeeded().output


@pytest.mark.long
def test_what_a_change_costs(workflow):
    """A label trains anew, and embeds nothing. An unlabelled row changes no weight: the job that trains finds that."""
    rows = labelled_rows()
    prepare(workflow, rows)
    workflow.run().succeeded()
    task = workflow.directory / "results/p/training/MyTask"
    parts = {row["id"]: row["split"] for row in table(task / "splits.tsv")}
    other = next(row for row in rows if parts[row[0]] == "train" and row[2] == "nucleus")
    other[2] = "membrane"
    write(workflow, rows)
    run = workflow.run().succeeded()
    once = {"divide": 1, "train": 1, "predict": 1, "predict_and_evaluate": 1}
    assert needed(run) == {"normalize": 1, **once}
    before = (task / "mini-1/training.json").stat().st_mtime_ns
    write(workflow, [*rows, ["v", "MLLIVFLLIVF", ""]])
    workflow.run().succeeded()
    assert (task / "mini-1/training.json").stat().st_mtime_ns == before
    assert len(table(workflow.directory / "results/p/predictions/MyTask.csv", ",")) == len(rows) + 1
    assert "Nothing to be done" in workflow.run().succeeded().output
    workflow.run("verify").succeeded()


@pytest.mark.long
@pytest.mark.parametrize("pooling", ["avg", "value_attention"])
def test_a_killed_training_ends_in_the_same_bytes(workflow, tmp_path_factory, shared_checkpoints, pooling):
    options = {"matrix_pooling_type": pooling, "num_train_epochs": 20}
    undisturbed = type(workflow)(tmp_path_factory.mktemp("undisturbed"), shared_checkpoints)
    for each in (workflow, undisturbed):
        prepare(each, labelled_rows(), **options)
    undisturbed.run().succeeded()
    folder = workflow.directory / "results/p/training/MyTask/mini-1"
    moments = (".training.state", "metrics.tsv", "training.json", "report.html")
    for name in moments:
        run = subprocess.Popen(
            workflow.command(), cwd=workflow.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        while run.poll() is None and not (folder / name).exists():
            time.sleep(0.02)
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        workflow.run("--unlock").succeeded()
    workflow.run().succeeded()
    assert results_of_training(workflow) == results_of_training(undisturbed)
