"""Several jobs on a machine with several GPUs take different ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lucaflow.engine.gpus import take_gpu

SCRIPTS = Path(__file__).parents[3] / "scripts"
NAMES = ["GPU-a", "GPU-b", "GPU-c"]
JOB = """
import sys
from pathlib import Path
from lucaflow.engine.gpu_locks import lock_first_free
print(lock_first_free(sys.argv[2:], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Return what starts a process that holds one of several things until its input ends."""
    started = []

    def job(*names):
        command = [sys.executable, "-c", JOB, str(tmp_path), *names]
        process = subprocess.Popen(
            command, env={"PYTHONPATH": str(SCRIPTS)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield job
    for process in started:
        process.kill()
        process.wait()


def test_jobs_take_different_ones(start):
    jobs = [start(*NAMES) for _ in NAMES]
    assert sorted(int(job.stdout.readline()) for job in jobs) == [0, 1, 2]


def test_one_that_is_killed_leaves_its_own_to_the_next(start):
    jobs = [start(*NAMES) for _ in NAMES]
    taken = [int(job.stdout.readline()) for job in jobs]
    waiting = start(*NAMES)
    assert "All 3 GPUs are in use by your other jobs here; waiting until one is free." in waiting.stderr.readline()
    jobs[1].kill()
    assert int(waiting.stdout.readline()) == taken[1]


def test_two_jobs_share_no_gpu_where_there_is_one(start):
    first = start("GPU-a")
    assert first.stdout.readline() == "0\n"
    second = start("GPU-a")
    assert "The GPU is in use by your other jobs here; waiting until one is free." in second.stderr.readline()
    first.kill()
    assert second.stdout.readline() == "0\n"


def test_other_numbers_of_the_same_gpus_do_not_matter(start):
    """A run that sees only some GPUs, in an order of its own, counts them anew."""
    assert start("GPU-b").stdout.readline() == "0\n"
    assert start("GPU-b", "GPU-c").stdout.readline() == "1\n"


def test_a_processor_is_not_locked():
    assert take_gpu(torch.device("cpu")) == torch.device("cpu")
