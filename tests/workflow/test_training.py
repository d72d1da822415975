"""Training on one's own labels, from a table to predictions in the same run."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from golden_cases import PACKAGED
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from lucaflow.downstream.conversion import load_head
from lucaflow.training.requested import best_of

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
    write(workflow, [*rows, ["v", "MLLIVFLLIVF", ""]])
    said = workflow.run().succeeded().output
    assert "nothing that the training depends on has changed" in said
    assert len(table(workflow.directory / "results/p/predictions/MyTask.csv", ",")) == len(rows) + 1
    assert "Nothing to be done" in workflow.run().succeeded().output
    workflow.run("verify").succeeded()


def has_epochs(state: Path, least: int) -> bool:
    """Return whether the state of a training has that many epochs, or is no longer there."""
    try:
        with safe_open(state, "pt") as file:
            return json.loads(file.metadata()["lucaflow_training"])["place"]["epoch"] >= least
    except (FileNotFoundError, SafetensorError):
        return (state.parent / "training.json").exists()


@pytest.mark.long
@pytest.mark.parametrize("pooling", ["avg", "value_attention"])
def test_a_training_killed_at_ten_moments_ends_in_the_same_bytes(
    workflow, tmp_path_factory, shared_checkpoints, pooling
):
    """While rows are divided, between epochs, while each kind of result is written, and at the end."""
    options = {"matrix_pooling_type": pooling, "num_train_epochs": 60}
    undisturbed = type(workflow)(tmp_path_factory.mktemp("undisturbed"), shared_checkpoints)
    for each in (workflow, undisturbed):
        prepare(each, labelled_rows(), **options)
    undisturbed.run().succeeded()
    task = workflow.directory / "results/p/training/MyTask"
    epochs = [functools.partial(has_epochs, task / "mini-1/.training.state", least) for least in (1, 10, 20, 30, 45)]
    names = ("mini-1/metrics.tsv", "mini-1/report.html", "mini-1/head", "mini-1/training.json")
    for is_reached in ((task / "splits.tsv").exists, *epochs, *((task / name).exists for name in names)):
        run = subprocess.Popen(
            workflow.command(), cwd=workflow.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        while run.poll() is None and not is_reached():
            time.sleep(0.01)
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        workflow.run("--unlock").succeeded()
    workflow.run().succeeded()
    assert results_of_training(workflow) == results_of_training(undisturbed)


@pytest.mark.long
def test_pairs_are_divided_by_their_sides(workflow):
    draw = random.Random(2)
    genes = ["".join(draw.choices(("GC", "AT")[n % 2] * 3 + "ACGT", k=90)) for n in range(60)]
    proteins = ["M" + "".join(draw.choices(("KRKRS", "LLIVF")[n % 2] * 3 + LETTERS, k=30)) for n in range(60)]
    pairs = {(draw.randrange(60), draw.randrange(60)): None for _ in range(120)}
    rows = [f"g{a},p{b},gene,prot,{genes[a]},{proteins[b]},{'yes' if a % 2 == b % 2 else 'no'}\n" for a, b in pairs]
    workflow.write("r.csv", "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b,label\n" + "".join(rows))
    workflow.datasets({"dataset": "r", "path": "r.csv", "kind": "pair", "label_column": "label", "tasks": "Bind"})
    training = {"dataset": "r", "task_type": "binary_class", "num_train_epochs": 2, "learning_rate": 0.001}
    workflow.config["training"] = {"Bind": {**training, "split": {"fractions": [0.6, 0.2, 0.2]}}}
    workflow.run().succeeded()
    task = workflow.directory / "results/r/training/Bind"
    splits = table(task / "splits.tsv")
    of_part = {
        part: {row[side] for row in splits if row["split"] == part for side in ("digest_a", "digest_b")}
        for part in ("train", "dev", "test", "one_side_seen")
    }
    assert not of_part["train"] & (of_part["dev"] | of_part["test"])
    assert of_part["one_side_seen"], "such pairs are told apart, and do not train"
    models = {row["model"] for row in table(task / "mini-1/metrics.tsv")}
    assert {"side_a", "side_b", "mini-1"} <= models
    predicted = table(workflow.directory / "results/r/predictions/Bind.csv", ",")
    assert [(f"{row['seq_id_a']} {row['seq_id_b']}", row["split"]) for row in predicted] == [
        (row["id"], row["split"]) for row in splits
    ]
    assert list(task.glob("mini-1/head/models/Bind/gene_protein/binary_class/lucappi2/matrix/*/*/model.safetensors"))


@pytest.mark.long
def test_of_several_models_the_best_predicts_or_the_one_that_is_named(workflow):
    prepare(workflow, labelled_rows(), split={"method": "random", "fractions": [0.6, 0.2, 0.2]})
    workflow.config["checkpoints"]["path"] = {"ours": str(PACKAGED / "embedding/checkpoints/T1")}
    workflow.config["model"] = {"llm_version": "ours,mini"}
    workflow.config["embedding"] = {"outputs": ["mean", "matrix"]}
    common = {"dataset": "p", "path": "p.csv", "label_column": "where", "seq_type": "prot"}
    workflow.datasets({**common, "tasks": "MyTask, MyTask@ours"})
    run = workflow.run().succeeded()
    assert (run.jobs["divide"], run.jobs["train"], run.jobs["predict_and_evaluate"]) == (1, 2, 2)
    assert run.jobs["embed_for_heads"] == 0, "the matrices of the dataset itself are trained on"
    folder = workflow.directory / "results/p"
    records = {
        name: json.loads((folder / f"training/MyTask/{name}/training.json").read_text()) for name in ("ours", "mini-1")
    }
    used = {
        task: json.loads((folder / f"predictions/{task}.json").read_text())["head_sha256"]
        for task in ("MyTask", "MyTask@ours")
    }
    assert used["MyTask"] == records[best_of(records)]["network_sha256"]
    assert used["MyTask@ours"] == records["ours"]["network_sha256"]
