"""Training on labels of residues, from a table to predictions in the same run."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT

from lucaflow.downstream.models import read_head

PAGE = (ROOT / "docs/training.md").read_text(encoding="utf-8")
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
COMMON = {"seq_type": "prot", "tasks": "Helix"}


def table(path: Path, delimiter: str = "\t") -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def labelled_rows(count: int = 60, seed: int = 1) -> list[list[str]]:
    """Return rows of id, sequence and labels: `b` for hydrophobic residues, `e` for others, `-` at the ends."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        residues = "".join(draw.choices(LETTERS, k=draw.randint(12, 30)))
        inner = "".join("b" if letter in "AFILMVWY" else "e" for letter in residues[1:-1])
        rows.append([f"p{number}", residues, f"-{inner}-"])
    return rows


def prepare(workflow, rows, **options) -> None:
    workflow.write("p.csv", "id,seq,where\n" + "".join(",".join(row) + "\n" for row in rows))
    workflow.fasta("q.fasta", {"q1": "MKRKRSKRRKSKRKS", "q2": "MLLIVFLLIVFFLLIKK" * 3})
    workflow.datasets(
        {"dataset": "my_structures", "path": "p.csv", "label_column": "where", **COMMON},
        {"dataset": "q", "path": "q.fasta", **COMMON},
    )
    workflow.config["embedding"] = {"outputs": []}
    _, of_residues = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    stated = yaml.safe_load(of_residues)["training"]["Helix"]
    workflow.config["training"] = {"Helix": {**stated, "num_train_epochs": 4, "learning_rate": 0.01, **options}}


def test_from_labels_of_residues_to_predictions_of_residues(workflow):
    rows = labelled_rows()
    prepare(workflow, rows, matrix_max_length=42)
    workflow.run().succeeded()
    task = workflow.directory / "results/my_structures/training/Helix"
    model = task / "mini-1"
    parts = {row["id"]: row["split"] for row in table(task / "splits.tsv")}
    labels = {row[0]: row[2] for row in rows}

    # Each labelled residue of dev and test is scored, and has its own row.
    evaluated = table(model / "predictions.csv", ",")
    expected = [
        (name, str(place), letter, label)
        for name, residues, stated in rows
        if parts[name] != "train"
        for place, (letter, label) in enumerate(zip(residues, stated, strict=True), start=1)
        if label != "-"
    ]
    assert [(row["id"], row["position"], row["residue"], row["label"]) for row in evaluated] == expected
    metrics = {(row["split"], row["model"], row["metric"]): row for row in table(model / "metrics.tsv")}
    tested = [row for row in evaluated if row["split"] == "test"]
    right = sum(row["label"] == row["predicted"] for row in tested)
    accuracy = metrics["test", "mini-1", "accuracy"]
    assert float(accuracy["value"]) == pytest.approx(right / len(tested), abs=1e-6)
    assert (accuracy["rows"], accuracy["clusters"]) == (str(len(tested)), str(len({row["cluster"] for row in tested})))
    # The letter alone tells these labels, so a baseline is right about all, and the page says so.
    assert {name for part, name, _ in metrics if part == "test"} == {"mini-1", "majority", "letter", "letters_nearby"}
    assert float(metrics["test", "letter", "accuracy"]["value"]) == 1
    page = (model / "report.html").read_text()
    assert "on the test residues" in page
    assert "the usual label of the letter" in page

    # The run predicts the same, a list for each record, and compares it with the residues of test rows.
    predictions = workflow.directory / "results/my_structures/predictions"
    predicted = {row["seq_id"]: row for row in table(predictions / "Helix.csv", ",")}
    assert {name: row["split"] for name, row in predicted.items()} == parts
    assert {name: row["ground_truth"] for name, row in predicted.items()} == labels
    for row in evaluated:
        cells = predicted[row["id"]]
        place = int(row["position"]) - 1
        assert json.loads(cells["label"])[place] == row["predicted"]
        assert json.loads(cells["prob"])[place] == pytest.approx(float(row["probability"]), abs=1e-5)
    against = table(predictions / "Helix.metrics.tsv")
    of_accuracy = next(row for row in against if row["metric"] == "accuracy")
    assert (of_accuracy["rows"], float(of_accuracy["value"])) == (str(len(tested)), pytest.approx(right / len(tested)))

    # Residues beyond the length that is read have no prediction.
    others = {row["seq_id"]: row for row in table(workflow.directory / "results/q/predictions/Helix.csv", ",")}
    long = json.loads(others["q2"]["label"])
    assert [label is None for label in long] == [False] * 40 + [True] * 11
    assert None not in json.loads(others["q1"]["prob"])
    assert read_head(model / "converted").structure.is_token_level
    overview = table(workflow.directory / "results/my_structures/overview.tsv")
    assert "Helix" not in overview[0], "lists as long as sequences"
    assert "Nothing to be done" in workflow.run("--cores", "1").succeeded().output


def test_a_label_for_each_residue_is_needed(workflow):
    rows = labelled_rows()
    rows[3][2] = rows[3][2][:-1]
    rows[5][2] += "e"
    prepare(workflow, rows)
    lengths = [len(row[1]) for row in rows]
    workflow.run().failed(
        "training.Helix, dataset my_structures",
        "p.csv",
        f"line 5: p3 has {lengths[3] - 1} labels and {lengths[3]} residues",
        f"line 7: p5 has {lengths[5] + 1} labels and {lengths[5]} residues",
    )
