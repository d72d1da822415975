"""An embedding job that is killed, or whose disk fails, at a single write: nothing wrong is left, and nothing lost."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from golden_cases import GoldenCheckpoint
from system_calls import followed, injected, needs_strace

from lucaflow.records.outcomes import digest_of

SCRIPTS = Path(__file__).parents[2] / "scripts"
JOB = """
import sys
from collections import Counter
from pathlib import Path
from lucaflow.embedding.shard_job import embed_shard
from lucaflow.logs import reporting_to
from lucaflow.engine.options import EmbeddingOptions
import torch
torch.set_num_threads(1)
folder, checkpoint = map(Path, sys.argv[1:3])
options = EmbeddingOptions(
    tuple(sys.argv[3:])
)
with reporting_to(folder / "log"):
    embed_shard(folder / "a.fasta", folder / "shards/a.h5", checkpoint, options, "cpu", 64)
"""


class EmbeddingJob:
    """A shard in a folder, and the process that embeds it."""

    def __init__(
        self, folder: Path, checkpoint: GoldenCheckpoint, outputs: tuple[str, ...] = ("mean", "matrix")
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.outputs = outputs
        self.folder = folder
        self.checkpoint = checkpoint.folder
        self.output = folder / "shards" / "a.h5"
        draw = random.Random(5)
        texts = ["M" + "".join(draw.choices("DEFGHIKL", k=length)) for length in range(40, 10, -1)]
        (folder / "a.fasta").write_text("".join(f">{digest_of('prot', text)} prot\n{text}\n" for text in texts))

    def run(self, *around: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*around, sys.executable, "-c", JOB, str(self.folder), str(self.checkpoint), *self.outputs],
            env={
                "PYTHONPATH": str(SCRIPTS),
                "PATH": "/usr/bin:/bin",
                "OMP_WAIT_POLICY": "passive",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def ends_in(self, expected: bytes) -> str:
        """Run undisturbed to the end; return the log."""
        done = self.run()
        assert done.returncode == 0, done.stdout
        assert self.output.read_bytes() == expected
        left = {path.name for path in self.output.parent.iterdir()}
        assert left == {"a.h5", ".a.h5.lock", ".a.h5.working"}
        return (self.folder / "log").read_text()


@pytest.fixture
def job(tmp_path, golden_checkpoints):
    return lambda name, *outputs: EmbeddingJob(tmp_path / name, golden_checkpoints["T1"], *outputs)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, golden_checkpoints):
    """What an undisturbed job makes, and how often it calls what writes."""
    this = EmbeddingJob(tmp_path_factory.mktemp("whole"), golden_checkpoints["T1"])
    trace = this.folder / "trace"
    around = followed("pwrite64,fsync,rename,ftruncate", str(trace))
    done = this.run(*(around if shutil.which("strace") else []))
    assert done.returncode == 0, done.stdout
    found = Counter(re.findall(r"^(\d+) +(\w+)\(", trace.read_text(), re.MULTILINE) if trace.exists() else [])
    # Which call of a thread fails is what can be chosen.
    return this.output.read_bytes(), {call: max(n for (_, c), n in found.items() if c == call) for _, call in found}


def moments(calls: dict[str, int], most: int) -> list[tuple[str, int]]:
    """Return calls by their number: all of the rare ones, and some of the many."""
    draw = random.Random(1)
    return [
        (call, number)
        for call, count in sorted(calls.items())
        for number in sorted(draw.sample(range(1, count + 1), min(most, count)))
    ]


def check_moments(job, whole, what: str, most: int) -> None:
    expected, calls = whole
    assert set(calls) >= {"pwrite64", "fsync", "rename"}
    for call, number in moments(calls, most):
        this = job(f"{call}-{number}")
        disturbed = this.run(*injected(call, what, number))
        assert disturbed.returncode != 0, (call, number, disturbed.stdout)
        if this.output.exists():
            # Only after it got its name: what follows is the order to the folder to keep it.
            assert this.output.read_bytes() == expected
        this.ends_in(expected)


@needs_strace
def test_killed_at_a_write(job, whole):
    check_moments(job, whole, "signal=KILL", 1)


@needs_strace
def test_vectors_outlive_the_process_that_computed_them(job):
    whole, killed = job("whole", ("mean",)), job("killed", ("mean",))
    assert whole.run().returncode == 0
    # After the layout, each batch writes the counts, what computed them, the vectors and the checksums of its rows.
    assert killed.run(*injected("pwrite64", "signal=KILL", 75)).returncode != 0
    assert re.search(r"([1-9]\d?) of 30 sequences are already embedded", killed.ends_in(whole.output.read_bytes()))


@needs_strace
@pytest.mark.long
def test_killed_at_any_write(job, whole):
    check_moments(job, whole, "signal=KILL", 5)


@needs_strace
@pytest.mark.long
def test_a_disk_that_fails(job, whole):
    check_moments(job, whole, "error=EIO", 3)


@needs_strace
def test_a_file_system_without_locks(job, whole):
    """Also when a job resumes."""
    this = job("without")
    this.run(*injected("pwrite64", "signal=KILL", 90))
    done = this.run(*injected("flock", "error=ENOSYS"))
    assert done.returncode == 0, done.stdout
    assert this.output.read_bytes() == whole[0]


def mounted(folder: Path, size: str) -> bool:
    """Mount a small file system, where a test may; it is unmounted by the caller."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return (
        shutil.which("mount") is not None and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )


@pytest.mark.parametrize("kilobytes", [60, *(pytest.param(size, marks=pytest.mark.long) for size in (8, 100))])
def test_a_full_disk(job, whole, kilobytes):
    """Full at the beginning, in the middle, and near the end; then there is room."""
    this = job("small")
    (this.folder / "shards").mkdir()
    if not mounted(this.folder / "shards", f"{kilobytes}k"):
        pytest.skip("mounting is not allowed here")
    try:
        done = this.run()
        assert done.returncode != 0
        assert "the disk is full, or your quota is used up" in done.stdout, done.stdout
        assert not this.output.exists()
        subprocess.run(["mount", "-o", "remount,size=20m", str(this.output.parent)], check=True)
        this.ends_in(whole[0])
    finally:
        subprocess.run(["umount", str(this.folder / "shards")], check=True)
