"""docs/training.md, as a reader follows it with the demonstration's table, and a folder of LucaOneTasks."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT

PAGE = (ROOT / "docs/training.md").read_text(encoding="utf-8")
DEMO = ROOT / "resources/demo/subcellular.csv"


def snippets(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def rows_of(path: Path, delimiter: str = "\t") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter=delimiter))


def text_of(page: Path) -> str:
    return re.sub("<[^>]+>", " ", page.read_text(encoding="utf-8"))


@pytest.mark.long
def test_the_page_is_followed_to_the_end(workflow):
    """Its files and its command, with the checkpoints of the tests; every file that it names is there."""
    records = rows_of(DEMO, ",")
    lines = "".join(f"{each['id']},{each['sequence']},{each['label']}\n" for each in records)
    workflow.write("my_proteins.csv", "id,sequence,label\n" + lines)
    workflow.fasta("new_proteins.fasta", {f"new{number}": each["sequence"] for number, each in enumerate(records[:3])})
    (table, _), (settings, *_) = snippets("tsv"), snippets("yaml")
    workflow.write("my_datasets.tsv", table)
    assert len(settings.splitlines()) == 10
    workflow.config = {**yaml.safe_load(settings), **{key: workflow.config[key] for key in ("checkpoints", "compute")}}
    (command,) = snippets("console")
    program, *arguments = shlex.split(command)
    assert (program, arguments) == (".venv/bin/snakemake", ["--cores", "4", "--configfile", "my.yaml"])
    run = workflow.run().succeeded()
    assert re.search(r"MyTask on mini-1: 120 rows, 39,607 residues, up to 50 epochs: about \d+ s \(a rough", run.output)

    task = workflow.directory / "results/my_proteins/training/MyTask"
    for stated in re.findall(r"^\| `([^|]+)` \|", PAGE[: PAGE.index("## Labels")], re.MULTILINE):
        first = task / stated.split("`, `")[0].replace("<model>", "mini-1")
        for name in stated.split("`, `"):
            path = first.with_suffix(name) if name.startswith(".") else first.parent / Path(name).name
            assert path.exists(), name
    assert [row["seq_id"] for row in rows_of(workflow.directory / "results/new_proteins/predictions/MyTask.csv", ",")]
    page = text_of(task / "mini-1/report.html")
    assert re.search(r"mini-1 has a macro F1 of [\d.]+ on the test rows, [\d.]+ (higher|lower) than the best", page)
    test = [row for row in rows_of(task / "splits.tsv") if row["split"] == "test"]
    assert f"Test has {len({row['cluster'] for row in test})} clusters: fewer than 30" in page

    compared = rows_of(task / "comparison.tsv")
    tested = [row for row in rows_of(task / "mini-1/metrics.tsv") if row["split"] == "test"]
    assert {(row["model"], row["metric"], row["value"], row["low"]) for row in compared} == {
        (row["model"], row["metric"], row["value"], row["low"]) for row in tested
    }
    assert "Nothing to be done" in workflow.run().succeeded().output


@pytest.mark.long
def test_a_folder_of_lucaonetasks_is_trained_on_by_its_own_split(workflow):
    """Classes have the names and the order of label.txt, and the rows are those of the three parts."""
    records, classes = rows_of(DEMO, ","), ["Secreted", "Membrane", "Mitochondrion", "Nucleus"]
    folder = "dataset/ProtLoc/protein/multi_class"
    parts = {"train": records[:80], "dev": records[80:95], "test": records[95:]}
    for part, rows in parts.items():
        lines = (f"{each['id']},prot,{each['sequence']},{classes.index(each['label'])}\n" for each in rows)
        workflow.write(f"{folder}/{part}/{part}.csv", "seq_id,seq_type,seq,label\n" + "".join(lines))
    workflow.write(f"{folder}/label.txt", "label\n" + "\n".join(classes))
    _, table = snippets("tsv")
    row = dict(zip(*(line.split("\t") for line in table.splitlines()), strict=True))
    workflow.datasets({**row, "tasks": "MyTask"})
    workflow.config["embedding"] = {"outputs": []}
    stated = {"dataset": "locations", "task_type": "multi_class", "num_train_epochs": 2}
    workflow.config["training"] = {"MyTask": stated, "Exact": {**stated, "compatibility": "lucaonetasks"}}
    workflow.run().succeeded()
    for each in ("MyTask", "Exact"):
        task = workflow.directory / "results/locations/training" / each
        (names,) = task.glob("mini-1/head/logs/**/label.txt")
        assert names.read_text(encoding="utf-8").split() == ["label", *classes], "in the order of the folder"
        evaluated = rows_of(task / "mini-1/predictions.csv", ",")
        assert [row["label"] for row in evaluated] == [row["label"] for row in records[80:]]
    found = rows_of(task / "splits.tsv")
    for part, rows in parts.items():
        assert [each["id"] for each in found if each["split"] == part] == [each["id"] for each in rows]
    assert {each["label"] for each in found} == set(classes)
    predicted = rows_of(workflow.directory / "results/locations/predictions/MyTask.csv", ",")
    assert {each["label"] for each in predicted} <= set(classes)
    assert [each["ground_truth"] for each in predicted] == [each["label"] for each in records]
