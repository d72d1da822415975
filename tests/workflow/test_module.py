"""Taken into another workflow: as a module, and as snakedeploy puts it into one's own directory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from workflow_runs import ROOT, copy_clone

from lucaflow import open_embeddings

pytestmark = pytest.mark.long
PAGE = (ROOT / "docs/workflows.md").read_text(encoding="utf-8")
SNAKEDEPLOY = "snakedeploy==0.17.1"


def snippet(start: str) -> str:
    """Return the snippet of the page that starts with these words, with the clone where it is here."""
    (found,) = (text for text in re.findall(r"^```\w+\n(.*?)^```", PAGE, re.M | re.S) if text.startswith(start))
    return found.replace("/path/to/LucaFlow", str(ROOT))


def snakemake(folder, *arguments, **environment):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    """A directory with a table of datasets of relative paths."""
    (tmp_path / "my_proteins.fasta").write_text(">P12345\nMKVLAWRRKLAW\n>P2\nMWWKKLLA\n")
    (tmp_path / "my_datasets.tsv").write_text("dataset\tpath\tseq_type\nmy_proteins\tmy_proteins.fasta\tprot\n")
    return tmp_path


def test_a_module_with_a_prefix(folder):
    """The snippet of the page: results under the prefix, the checkpoint where it is said, and all of it verified."""
    (folder / "Snakefile").write_text(snippet("module lucaflow:"))
    said = snakemake(folder)
    assert "Finished jobid: 0 (Rule: all)" in said
    assert (folder / "norms.tsv").read_text().splitlines()[1].startswith("P12345\t")
    assert list(folder.glob("resources/checkpoints/mini-1-*/model.safetensors"))
    with open_embeddings(folder / "lucaflow/results/my_proteins/mini-1/embeddings.h5") as embeddings:
        assert list(embeddings) == ["P12345", "P2"]
    snakemake(folder, "lucaflow_all")
    assert "Nothing to be done" in snakemake(folder, "lucaflow_all")
    said = snakemake(folder, "lucaflow_verify")
    checked = re.findall(r"lucaflow/results/(\S+)\.json: no file changed", said)
    steps = {f"my_proteins/receipts/{step}" for step in ("normalize", "assemble-mini-1", "draw-mini-1", "overview")}
    assert set(checked) == {*steps, "receipts/summary"}


def test_a_directory_of_snakedeploy(folder, tmp_path_factory):
    """From a local clone it writes everything but where the clone is, which the page says how to mend."""
    apart = tmp_path_factory.mktemp("snakedeploy")
    subprocess.run([sys.executable, "-m", "venv", apart / "venv"], check=True)
    subprocess.run([apart / "venv/bin/pip", "install", "--quiet", "--no-compile", SNAKEDEPLOY], check=True)
    copy_clone(apart / "LucaFlow")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("init", "-b", "main"), ("add", "."), (*author, "commit", "-m", "all")):
        subprocess.run(["git", "-C", apart / "LucaFlow", *command], check=True, stdout=subprocess.DEVNULL)
    for command in snippet("snakedeploy ").splitlines():
        here = command.replace("snakedeploy ", f"{apart}/venv/bin/snakedeploy ").replace(str(ROOT), f"{apart}/LucaFlow")
        subprocess.run(here, shell=True, check=True, cwd=folder)
    (folder / "my_workflow/config/datasets.tsv").write_text((folder / "my_datasets.tsv").read_text())
    (folder / "my_workflow/config/config.yaml").write_text("model:\n  llm_version: mini\n")
    (folder / "my_proteins.fasta").rename(folder / "my_workflow/my_proteins.fasta")
    snakemake(folder / "my_workflow")
    with open_embeddings(folder / "my_workflow/results/my_proteins/mini-1/embeddings.h5") as embeddings:
        assert len(embeddings) == 2


def test_a_crate(folder):
    """What the plugin writes of a finished run names the jobs and their files."""
    (folder / "my.yaml").write_text("datasets: my_datasets.tsv\nmodel:\n  llm_version: mini\n")
    lucaflow = ("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--configfile", "my.yaml")
    snakemake(folder, *lucaflow)
    installing, reporting = snippet(".venv/bin/pip install snakemake-report").splitlines()
    # Beside the environment, not into it; what it needs but is not of its own is there.
    packages = [f"{installing.split()[-1]}==0.1.0", "fairscape-conversion==0.1.0"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "-t", folder / "own", *packages], check=True
    )
    plugin = reporting.split()[reporting.split().index("--reporter") :][:2]
    snakemake(folder, *lucaflow, *plugin, PYTHONPATH=str(folder / "own"))
    crate = json.loads((folder / "ro-crate-metadata.json").read_text())
    assert "embeddings.h5" in json.dumps(crate)
    assert "assemble" in json.dumps(crate)
