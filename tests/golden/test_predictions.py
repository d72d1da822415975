"""The recorded prediction runs of LucaOneTasks, each through the whole workflow.

DATASETS and RUNS say how each is reproduced, WITHOUT_COUNTERPART why some are not.
"""

import csv
import json
import math
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from golden_cases import PACKAGED, golden_folder
from workflow_runs import Workflow

# One process makes the runs for all tests.
pytestmark = pytest.mark.xdist_group("predictions")

GOLDEN = golden_folder("downstream")
IS_PACKAGED = GOLDEN == PACKAGED / "downstream"
RECORDED = {run["tag"]: run for run in json.loads((GOLDEN / "predict_manifest.json").read_text())["runs"]}
# Batches of other sizes than one row at a time, whose sums round otherwise: float32 allows no more.
TOLERANCE = 1e-6

# The files of a type of task are the same but for their names: one dataset for each, with all of its tasks.
DATASETS = {
    "genes": ({"seq_type": "gene"}, ["SupKTax", "GenusTax", "SpeciesTax", "ncRNAFam", "X_BaseBinary"]),
    "proteins": ({"seq_type": "prot"}, ["ProtLoc", "ProtStab", "X_BaseMultiLabel", "X_BaseMeanPool"]),
    "genes_proteins": ({"kind": "pair", "label_column": "6"}, ["CentralDogma", "ncRPI", "X_PPI2Regression"]),
    "two_genes": ({"kind": "pair"}, ["InfA"]),
    "two_proteins": ({"kind": "pair"}, ["PPI", "X_PPIMultiClass", "X_PPIEncoder"]),
    "fasta": ({"path": "genes.fasta", "seq_type": "gene"}, ["SupKTax"]),
    "no_types": ({"path": "genes2col.csv", "seq_type": "gene"}, ["SupKTax"]),
    "tsv": ({"path": "genes.tsv", "seq_type": "gene"}, ["SupKTax"]),
    "one": ({"path": "one.csv", "seq_type": "prot"}, ["ProtStab"]),
    "one_pair": ({"path": "one_pair.csv", "kind": "pair"}, ["PPI"]),
}
# The dataset that a recorded run's table comes from, and what differs in `heads`.
RUNS: dict[str, tuple[str, dict[str, float]]] = {
    **{task: (name, {}) for name, (row, tasks) in DATASETS.items() for task in tasks if "path" not in row},
    "GenusTax_top3": ("genes", {"topk": 3}),
    "GenusTax_top1": ("genes", {"topk": 1}),
    "ProtLoc_top99": ("proteins", {"topk": 99}),
    "CentralDogma_thr_gt": ("genes_proteins", {"threshold": 0.55}),
    "SupKTax_fasta": ("fasta", {}),
    "SupKTax_2col": ("no_types", {}),
    "SupKTax_tsv": ("tsv", {}),
    # A file of one row, in place of a sequence on the command line.
    "ProtStab_cli": ("one", {}),
    "PPI_cli": ("one_pair", {}),
}
WITHOUT_COUNTERPART = {
    "SupKTax_resume": "rows of an older table are not kept: embeddings are, and predictions are made of them anew",
    "InfA_embdir": "embeddings are kept by the digest of a sequence, not in files called by ids",
    "InfA_embdir_exists": "embeddings that lack are computed; the table is that of InfA",
}
ONE = "MFLWRKSANGIACNVWHDFVWFSYQATQ"


def add_unknown_runs():
    """Have a dataset for each recorded run that is not named above: of another folder of recorded results."""
    for tag, run in RECORDED.items():
        if tag in RUNS or tag in WITHOUT_COUNTERPART or "output" not in run:
            continue
        arguments = {name: value for name, value in pairwise(run["argv"]) if name.startswith("--")}
        row = {"path": Path(arguments["--input_file"]).name}
        if run["output"].endswith("_gt.csv"):
            row["label_column"] = "-1"
        if arguments["--input_mode"] == "pair":
            row["kind"] = "pair"
        else:
            row["seq_type"] = {"gene": "gene", "protein": "prot"}[arguments["--dataset_type"]]
        used = {"multi_class": ("topk", int), "binary_class": ("threshold", float), "multi_label": ("threshold", float)}
        name, kind = used.get(arguments["--task_type"], ("", str))
        heads = {name: kind(arguments[f"--{name}"])} if f"--{name}" in arguments else {}
        DATASETS[f"of_{tag}"] = row, [run["task"]]
        RUNS[tag] = f"of_{tag}", {} if heads == {"threshold": 0.5} else heads


add_unknown_runs()


@pytest.mark.skipif(not IS_PACKAGED, reason="of the packaged runs alone")
def test_every_recorded_run_is_accounted_for():
    assert set(RUNS) | set(WITHOUT_COUNTERPART) == set(RECORDED)
    assert len(RECORDED) == 28


# What differs in `heads`: the default first, since it embeds for all others.
OPTIONS = [
    {},
    *({name: value} for name, value in dict.fromkeys(pair for _, heads in RUNS.values() for pair in heads.items())),
]
# What is recorded of a type of task, and of a format of input.
IN_FORMATS = [tag for tag, (name, _) in RUNS.items() if tag in RECORDED and "path" in DATASETS[name][0]]
OF_TASKS = [tag for tag in RUNS if tag in RECORDED and tag not in IN_FORMATS]


@pytest.fixture(scope="module")
def of_tasks(tmp_path_factory):
    # The datasets' own matrices serve where a sequence is read whole; tasks that agree share the others.
    return make_runs(tmp_path_factory.mktemp("tasks"), OF_TASKS, {"embed": 2, "embed_for_heads": 8})


@pytest.fixture(scope="module")
def in_formats(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("formats"), IN_FORMATS, {"embed": 4, "embed_for_heads": 4})


def make_runs(directory, tags, embedded):
    """Make all runs; return for each the folder with its table, and that of what could not be predicted."""
    workflow = Workflow(directory, directory / "checkpoints")
    workflow.config |= {
        "checkpoints": {"source": "local", "path": str(GOLDEN), "directory": "checkpoints"},
        "model": {"llm_version": "lucaone", "llm_step": 5600000},
        "embedding": {"outputs": ["matrix"]},
        "input": {"invalid_characters": "drop"},
    }
    workflow.write("one.csv", f"seq_id,seq\nx1,{ONE}\n")
    names = "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b"
    workflow.write("one_pair.csv", f"{names}\nx1,x2,prot,prot,{ONE},MKWI\n")
    workflow.datasets(*(row_of(name, directory) for name in dict.fromkeys(RUNS[tag][0] for tag in tags)))
    done: dict[str, Path] = {}
    for heads in OPTIONS:
        workflow.config["heads"] = {"source": "local", "path": str(GOLDEN), "llm_truncation_seq_length": 40, **heads}
        tables = {tag: table_of(tag, directory) for tag in tags if RUNS[tag][1] == heads}
        if not tables:
            continue
        # The tables alone: what else a run ends in has tests of its own.
        targets = [str(path.relative_to(directory)) for path in tables.values()]
        run = workflow.run(*targets).succeeded()
        if IS_PACKAGED and not heads:
            assert {rule: run.jobs[rule] for rule in embedded} == embedded
            assert not workflow.run(*targets).succeeded().jobs
        elif IS_PACKAGED and heads != {"topk": 1}:
            # Another option of the prediction embeds nothing again; by default one class is listed.
            labelled = any("label_column" in DATASETS[RUNS[tag][0]][0] for tag in tables)
            assert run.jobs == {"predict_and_evaluate" if labelled else "predict": 1}
        for tag, path in tables.items():
            done[tag] = directory / "tables" / tag
            done[tag].mkdir(parents=True)
            for name in (path.name, path.with_suffix(".failed.csv").name):
                shutil.copy(path.with_name(name), done[tag])
    return done


def row_of(name, directory):
    """Return a row of the table of datasets."""
    row, tasks = DATASETS[name]
    own = directory / row.get("path", "")
    path = own if own.is_file() else GOLDEN / "predict/in" / row.get("path", f"{tasks[0]}.csv")
    return {"dataset": name, "seq_type": "", **row, "path": str(path), "tasks": ",".join(tasks)}


def table_of(tag, directory):
    return directory / f"results/{RUNS[tag][0]}/predictions/{RECORDED[tag]['task']}.csv"


def rows_of(folder, tag):
    """Return the rows of a table, without the ground truth where it was not recorded."""
    (path,) = (path for path in folder.iterdir() if not path.name.endswith(".failed.csv"))
    found = path.read_bytes()
    assert found.endswith(b"\r\n")
    rows = list(csv.reader(found.decode().splitlines()))
    recorded = RECORDED[tag].get("output", "")
    return [row[:-1] for row in rows] if rows[0][-1] == "ground_truth" and not recorded.endswith("_gt.csv") else rows


@pytest.mark.long
@pytest.mark.parametrize("tag", OF_TASKS)
def test_recorded_task(of_tasks, tag):
    assert_as_recorded(of_tasks[tag], tag)


@pytest.mark.long
@pytest.mark.parametrize("tag", IN_FORMATS)
def test_recorded_format(in_formats, tag):
    if "output" in RECORDED[tag]:
        assert_as_recorded(in_formats[tag], tag)
        return
    # On the command line LucaOneTasks prints six digits.
    columns, row = rows_of(in_formats[tag], tag)
    found = dict(zip(columns, row, strict=True))
    printed = dict(line.split("=", 1) for line in RECORDED[tag]["stdout_tail"].splitlines() if "=" in line)
    for name in ("prob", "label"):
        assert_like(name, found[name], printed[name])


def assert_as_recorded(folder, tag):
    """The same rows in the same order, and nothing that could not be predicted."""
    (failed,) = folder.glob("*.failed.csv")
    assert len(failed.read_text().splitlines()) == 1
    expected_rows = list(csv.reader((GOLDEN / RECORDED[tag]["output"]).read_text().splitlines()))
    rows = rows_of(folder, tag)
    assert rows[0] == expected_rows[0]
    for row, expected in zip(rows[1:], expected_rows[1:], strict=True):
        if tag == "SupKTax_fasta":
            # LucaOneTasks takes the whole header line for the id, `>` included.
            expected[0] = expected[0].split()[0].removeprefix(">")
        for name, cell, wanted in zip(rows[0], row, expected, strict=True):
            assert_like(name, cell, wanted)


def assert_like(name, cell, wanted):
    """Text is the same, and numbers, by themselves or in a list, within float32's rounding."""
    if name.startswith("seq") or name == "ground_truth":
        assert cell == wanted
        return
    numbers, expected = (as_numbers(text) for text in (cell, wanted))
    if numbers is None:
        assert cell == wanted
    else:
        assert len(numbers) == len(expected)
        assert all(
            math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) for a, b in zip(numbers, expected, strict=True)
        )


def as_numbers(text):
    """Return the numbers of a cell; None where it holds names."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        return None
    return values if isinstance(values, list) else [values]
