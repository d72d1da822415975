"""Killed at any moment: the next run goes on, and ends in the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import h5py
import pytest
from PIL import Image
from workflow_runs import Workflow

SETTINGS = {"embedding": {"outputs": ["mean", "matrix"]}, "compute": {"device": "cpu", "shard_tokens": 300}}


def prepare(workflow: Workflow) -> None:
    draw = random.Random(1)
    workflow.fasta(
        "p.fasta", {f"p{i}": "M" + "".join(draw.choices("DEFGHIKLMNPQRSVW", k=draw.randint(5, 40))) for i in range(24)}
    )
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= SETTINGS


def results(workflow: Workflow) -> dict[str, bytes]:
    """Every result but pictures, and what holds times, dates, sizes of pages, or the space that is left on the disk."""
    folder = workflow.directory / "results"
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".png", ".html"))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.name not in ("summary.tsv", "preflight.json", "counts.json")
    }


def read_all(folder: Path) -> int:
    """Read every file that carries a final name; return how many there are. A half-written one raises."""
    names = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    for path in names:
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                file.visititems(lambda _, item: item[:] if isinstance(item, h5py.Dataset) else None)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix in (".tsv", ".fasta", ".yaml"):
            assert path.read_text().endswith("\n"), path
        elif path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
    return len(names)


def kill_after(workflow: Workflow, seconds: float) -> bool:
    """Start a run, kill it and all its jobs at once, and unlock; say whether it was still running."""
    process = subprocess.Popen(
        workflow.command(), cwd=workflow.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    time.sleep(seconds)
    running = process.poll() is None
    if running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        workflow.run("--unlock").succeeded()
    return running


@pytest.mark.long
def test_kill_minus_nine(tmp_path, shared_checkpoints):
    undisturbed, killed = (Workflow(tmp_path / name, shared_checkpoints) for name in ("undisturbed", "killed"))
    for workflow in (undisturbed, killed):
        workflow.directory.mkdir()
        prepare(workflow)
    undisturbed.run().succeeded()
    found = []
    for seconds in (2.5, 4, 5.5, 7):
        if kill_after(killed, seconds):
            found.append(read_all(killed.directory / "results"))
    assert len(found) >= 3
    assert found[-1] > 3
    killed.run().succeeded()
    assert sorted(results(killed)) == sorted(results(undisturbed))
    assert results(killed) == results(undisturbed)
    assert "Nothing to be done" in killed.run().succeeded().output
