"""A profile, the command line and the environment of the user: what they say wins, or is refused in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_runs import ROOT

OWN_PROFILE = "cores: 1\nresources:\n  gpu: 4\nquiet: host\n"


@pytest.fixture
def two_proteins(workflow):
    workflow.fasta("p.fasta", {"a": "MKVLAW", "b": "MWWWKK"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    return workflow


def test_a_profile_of_ones_own_wins(two_proteins):
    two_proteins.write("own/config.yaml", OWN_PROFILE)
    command = two_proteins.command("--profile", "own", "results/p/records.tsv")
    place = command.index("--cores")
    del command[place : place + 2]
    said = subprocess.run(command, cwd=two_proteins.directory, text=True, capture_output=True, check=True).stderr
    assert "Provided cores: 1" in said
    assert 'Provided resources: gpu=Resource("gpu", 4)' in said
    assert "Reason: Forced execution" in said
    assert "Host: " not in said


def test_nothing_needs_a_profile(two_proteins):
    """Reasons of jobs are hidden. A script that is newer than the results runs nothing, unless the user wants it."""
    said = two_proteins.shared_run().output
    assert "Provided resources" not in said
    assert "Reason: " not in said
    for path in (two_proteins.directory / "results").rglob("*"):
        os.utime(path, (1, 1))
    assert "Nothing to be done" in two_proteins.run("--dry-run").succeeded().output
    two_proteins.forget()
    assert "Nothing to be done" in two_proteins.run("--dry-run").succeeded().output
    wanted = two_proteins.run("--dry-run", "--rerun-triggers", "code").succeeded().output
    assert "code has changed since last execution" in wanted


@pytest.mark.parametrize("option", [("--until", "embed"), ("--batch", "all=1/2")])
def test_options_that_would_end_a_run_early_are_refused(two_proteins, option):
    run = two_proteins.run(*option).failed(f"{option[0]} would end this run early", "Name a target instead")
    assert "Traceback" not in run.output
    assert not run.jobs


def test_the_snakemake_of_another_environment(two_proteins, tmp_path):
    """It names what is missing there: here, the environment of the tests without h5py."""
    other = tmp_path / "other environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    (packages,) = other.glob("lib/python*/site-packages")
    (here,) = (path for path in map(Path, sys.path) if path.name == "site-packages")
    for path in here.iterdir():
        if not path.name.startswith(("h5py", "__editable__", "lucaflow")):
            (packages / path.name).symlink_to(path)
    command = [str(other / "bin/python"), *two_proteins.command("--dry-run")[1:]]
    done = subprocess.run(command, cwd=two_proteins.directory, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert f"This Snakemake is of another environment, {other}, which lacks h5py>=" in done.stdout
    assert str(ROOT / "envs/lock.txt") in done.stdout
