"""Killed at any moment: the next run goes on, and ends in the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

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
    """Every result but pictures, and the page and the summary that hold times or sizes of them."""
    folder = workflow.directory / "results"
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".png", ".html"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != "summary.tsv"}


def half_written(folder: Path) -> list[Path]:
    """Files under a final name that no reader would take for complete are what must never be there."""
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size == 0]


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


def test_kill_minus_nine(tmp_path, shared_checkpoints):
    undisturbed, killed = (Workflow(tmp_path / name, shared_checkpoints) for name in ("undisturbed", "killed"))
    for workflow in (undisturbed, killed):
        workflow.directory.mkdir()
        prepare(workflow)
    undisturbed.run().succeeded()
    kills = sum(kill_after(killed, seconds) for seconds in (2.5, 4, 5.5, 7))
    assert kills >= 3
    assert not [path for path in half_written(killed.directory / "results") if not path.name.startswith(".")]
    killed.run().succeeded()
    assert results(killed) == results(undisturbed)
    assert "Nothing to be done" in killed.run().succeeded().output
