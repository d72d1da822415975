"""Bad input: one message that says what, where and what to do; nothing half-written; the others still finish."""

from __future__ import annotations

import os
import shutil

import pytest
import torch
from golden_cases import PACKAGED

from lucaflow.report.terminal import HIDDEN_LINES

GOOD = {"a": "MKVLAWRRKLAWMKVLAWRRK", "b": "MWWWKKLLR"}


@pytest.fixture
def protein(workflow):
    workflow.fasta("p.fasta", GOOD)
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    return workflow


def test_a_map_by_umap_is_refused_where_its_package_is_missing(protein):
    """Here, or in the environment that conda makes for the jobs."""
    protein.config["figures"] = {"umap": True}
    # Python takes the first version that it finds.
    older = "packages/umap_learn-0.1.dist-info/METADATA"
    protein.write(older, "Metadata-Version: 2.1\nName: umap-learn\nVersion: 0.1\n")
    run = protein.run("--dry-run", PYTHONPATH=str(protein.directory / "packages"))
    run.failed("figures.umap: this environment lacks umap-learn; install it: ", "-m pip install 'umap-learn>=")
    conda = ("--dry-run", "--software-deployment-method", "conda")
    protein.run(*conda).failed("the environment of the jobs lacks umap-learn", "envs/lucaflow.yaml")


def test_broken_datasets_are_refused_and_the_others_finish(workflow):
    workflow.fasta("good.fasta", GOOD)
    workflow.fasta("dna.fasta", {"x": "ACGTACGTACGTACGTACGTACGTACGT", "y": "MKVLAW"})
    workflow.write("gaps.fasta", ">one\nMKVLAW\n>two\nMWW\nWW-W9\n" + ">x\nM1\n" * 20)
    workflow.write("columns.csv", "name,seq\na,MKVLAW\n")
    os.mkfifo(workflow.directory / "pipe")
    rows = {
        "good": "good.fasta",
        "missing": "nowhere/p.fasta",
        "dna": "dna.fasta",
        "gaps": "gaps.fasta",
        "pipe": "pipe",
        "long": "x" * 300,
    }
    workflow.datasets(
        *({"dataset": name, "path": path, "seq_type": "prot"} for name, path in rows.items()),
        {"dataset": "columns", "path": "columns.csv", "seq_type": "prot", "id_column": "identifier"},
    )
    run = workflow.run("embeddings", "--keep-going").failed(
        "nowhere/p.fasta: there is no such file",
        "dna.fasta: 1 of 2 records cannot be used",
        "line 1, id 'x': 'ACGTACGTACGTACGTACGT'... looks like a nucleotide sequence, "
        "but the dataset's seq_type is prot",
        "'-' at column 3 of line 2 below the header",
        "and 11 more",
        "pipe: is not a regular file but a named pipe",
        "no column 'identifier' for the ids. The file has: name, seq.",
    )
    assert run.output.count("Traceback") == 0
    planned, summed_up = run.output.split("\nFailed, and why:\n")
    for warning in (
        "dataset missing: nowhere/p.fasta: there is no such file.",
        "dataset pipe: pipe: is not a regular file but a named pipe.",
        f"dataset long: {'x' * 200}...: cannot be read (File name too long).",
    ):
        assert planned.index(warning) < planned.index("Building DAG of jobs")
    assert not HIDDEN_LINES & set(planned.splitlines())
    assert "  logs/normalize/missing.log\n    InputError: dataset missing: nowhere/p.fasta: there is no" in summed_up
    assert summed_up.count("InputError") == len(rows)
    assert workflow.result("good", "verified.json").is_file()
    for name in (*rows, "columns"):
        if name != "good":
            assert not list((workflow.directory / "results" / name).glob("records.tsv")), name
    problems = (workflow.directory / "results/gaps/problems.tsv").read_text().splitlines()
    assert len(problems) == 22

    before = workflow.result("good", "embeddings.h5").read_bytes()
    workflow.write("gaps.fasta", ">one\nMKVLAW\n")
    workflow.fasta("good.fasta", {"a": "MKV-LAW"})
    run = workflow.run("--keep-going", "results/gaps/records.tsv", "results/good/records.tsv")
    run.failed("An older result is still there: results/good/mini-1/embeddings.h5")
    assert workflow.result("good", "embeddings.h5").read_bytes() == before
    assert (workflow.directory / "results/gaps/records.tsv").exists()
    assert not (workflow.directory / "results/gaps/problems.tsv").exists()


def test_a_wrong_configuration(protein):
    """All wrong keys and values are in tests/unit/config/test_resolve.py and beside the code that refuses them."""
    protein.config |= {"embeding": {}, "embedding": {"outputs": ["median"]}, "compute": {"shard_tokens": 0}}
    run = protein.run().failed(
        "embeding: there is no such key; did you mean embedding?",
        "embedding.outputs.0: 'median' is not one of",
        "compute.shard_tokens: 0 is less than the minimum of 1",
    )
    assert "Traceback" not in run.output
    assert not (protein.directory / "results").exists()


def test_a_wrong_table_of_datasets(protein):
    protein.datasets({"dataset": "../p", "path": "p.fasta", "seq_type": "prot"}, {"dataset": "q", "path": "p.fasta"})
    run = protein.run("--dry-run").failed(
        "datasets.tsv, line 2: dataset: '../p' does not match",
        "datasets.tsv, line 3: seq_type: expected `gene` (DNA, RNA) or `prot`, found nothing",
    )
    assert "Traceback" not in run.output


def test_a_broken_checkpoint(protein):
    """All kinds of damage are in tests/unit/checkpoints/test_conversion.py."""
    shutil.copytree(PACKAGED / "embedding/checkpoints/T1", protein.directory / "lucaone")
    protein.config["checkpoints"] = {"source": "local", "path": "lucaone", "directory": "converted"}
    protein.config["model"] = {"llm_version": "lucaone", "llm_step": 36000000}
    weights = next((protein.directory / "lucaone").rglob("pytorch.pth"))
    state = torch.load(weights, weights_only=True)
    state["layers.1.fc1.weight"] = state["layers.1.fc1.weight"][:5]
    del state["layers.0.fc2.bias"]
    torch.save(state, weights)
    run = protein.run("fetch").failed(
        "layers.1.fc1.weight has shape (5, 32), expected (128, 32)", "layers.0.fc2.bias is missing"
    )
    assert "Traceback" not in run.output
    assert not list(protein.directory.glob("converted/*/model.safetensors"))
