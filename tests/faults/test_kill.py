"""After a kill at any moment the next run resumes, and ends in the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import h5py
import pytest
from PIL import Image
from workflow_runs import Workflow

SETTINGS = {"embedding": {"outputs": ["mean", "matrix"]}, "compute": {"device": "cpu", "shard_tokens": 200}}


def prepare(workflow: Workflow) -> None:
    draw = random.Random(1)
    workflow.fasta(
        "p.fasta", {f"p{i}": "M" + "".join(draw.choices("DEFGHIKLMNPQRSVW", k=draw.randint(5, 40))) for i in range(12)}
    )
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= SETTINGS


def is_the_same_each_time(path: Path) -> bool:
    """Whether a result is free of times, dates, sizes of pages, and the space left on the disk."""
    others = ("summary.tsv", "preflight.json", "counts.json", ".snakemake_timestamp", "SHA256SUMS")
    return path.name not in others and path.suffix not in (".png", ".html")


def results(workflow: Workflow) -> dict[str, bytes]:
    """Return every such result. Receipts are without the checksums of others."""
    folder = workflow.directory / "results"
    files = (path for path in folder.rglob("*") if path.is_file() and is_the_same_each_time(path))
    return {str(path.relative_to(folder)): content_of(path) for path in files}


def content_of(path: Path) -> bytes:
    if path.parent.name != "receipts":
        return path.read_bytes()
    receipt = json.loads(path.read_text())
    same = {name: entry for name, entry in receipt["outputs"].items() if is_the_same_each_time(Path(name))}
    return json.dumps(receipt | {"outputs": same}).encode()


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


def start(workflow: Workflow) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        workflow.command(), cwd=workflow.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def jobs_of(run: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes of a run other than Snakemake itself, the youngest first."""
    found = subprocess.run(["pgrep", "--session", str(run.pid)], capture_output=True, text=True, check=False).stdout
    return sorted((int(pid) for pid in found.split() if int(pid) != run.pid), reverse=True)


def kill(run: subprocess.Popen[bytes], what: str) -> None:
    """Kill a run's youngest process (a job, if there is one), Snakemake alone (its jobs run on), or everything."""
    if what == "all":
        os.killpg(run.pid, signal.SIGKILL)
    elif what == "snakemake":
        run.kill()
    else:
        for process in jobs_of(run)[:1]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    run.wait()


def survive(workflow: Workflow, draw: random.Random, kills: int) -> int:
    """Kill runs at random moments until so many were killed, or everything is there; return how many were."""
    for done in range(kills):
        run = start(workflow)
        time.sleep(draw.uniform(1.5, 6))
        if run.poll() is not None:
            return done
        what = draw.choice(["all", "snakemake", "job"])
        kill(run, what)
        if what == "all":
            read_all(workflow.directory / "results")
        workflow.run("--unlock").succeeded()
    return kills


def check(tmp_path: Path, checkpoints: Path, seed: int, most: int) -> None:
    """So many kills, then a run to the end: the same bytes as undisturbed."""
    undisturbed, killed = (Workflow(tmp_path / name, checkpoints) for name in ("undisturbed", "killed"))
    for workflow in (undisturbed, killed):
        workflow.directory.mkdir()
        prepare(workflow)
    undisturbed.shared_run()
    kills, draw = 0, random.Random(seed)
    while kills < most:
        kills += survive(killed, draw, most - kills)
        killed.run().succeeded()
        assert results(killed) == results(undisturbed)
        assert "Nothing to be done" in killed.run().succeeded().output
        if kills < most:
            subprocess.run(["rm", "-rf", "results", ".snakemake"], cwd=killed.directory, check=True)


def test_killed_twice(tmp_path, shared_checkpoints):
    check(tmp_path, shared_checkpoints, seed=0, most=2)


@pytest.mark.long
@pytest.mark.parametrize("seed", [100, 200, 300])
def test_killed_at_many_moments(tmp_path, shared_checkpoints, seed):
    check(tmp_path, shared_checkpoints, seed, most=8)
