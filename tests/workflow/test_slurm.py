"""On a real SLURM cluster, with the profile for it: what is lost is tried again, and ends in the same bytes."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import h5py
import pytest
import yaml
from slurm_cluster import cluster, why_not
from workflow_runs import ROOT, Run, Workflow

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]
SECONDS = 400
# Long enough to be ended while they are embedded: 100,000 residues, in batches of 200.
LONG = 100_000, 1, 200


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> Path:
    """The profile for SLURM as a user fills it in: the lines that wait for a site's names, and no others."""
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    for name in ("cpu", "gpu"):
        assert f'# slurm_partition: "{name}"' in text
        text = text.replace(f'# slurm_partition: "{name}"', f'slurm_partition: "{name}"')
    folder = tmp_path_factory.mktemp("profile")
    (folder / "config.yaml").write_text(text)
    on_gpus = yaml.safe_load(text)["set-resources"]
    assert all(on_gpus[rule]["slurm_partition"] == "gpu" for rule in ("predict", "predict_and_evaluate"))
    return folder


class OnSlurm:
    """A working directory whose jobs go to the cluster."""

    def __init__(self, workflow: Workflow, profile: Path, *arguments: str) -> None:
        self.workflow = workflow
        workflow.directory.mkdir(exist_ok=True)
        self.profile = profile
        self.arguments = (
            *("--slurm-init-seconds-before-status-checks", "2"),
            *("--set-threads", "embed=2", *arguments),
        )

    def start(self, *targets: str) -> subprocess.Popen[str]:
        command = self.workflow.command("--profile", str(self.profile), *targets, *self.arguments)
        place = command.index("--cores")
        self.started = time.time()
        return subprocess.Popen(
            command[:place] + command[place + 2 :],
            cwd=self.workflow.directory,
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> Run:
        output, _ = process.communicate(timeout=SECONDS)
        return Run.of(process.returncode, output, self.workflow.directory, self.started)

    def run(self, *targets: str) -> Run:
        return self.end(self.start(*targets))

    def log_of_embed(self) -> str:
        return "".join(path.read_text() for path in self.workflow.directory.glob("logs/embed/**/*.log"))

    def wait_for_rows(self, seconds: float = 60) -> None:
        """Wait until the job of a shard has written results."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for path in self.workflow.directory.glob("results/p/*/shards/*/.*.working"):
                with h5py.File(path, locking=False) as shard:
                    if shard["checksums"][:].any():
                        return
            time.sleep(0.1)
        raise TimeoutError("the job has written nothing")

    def shards(self) -> dict[str, bytes]:
        """Return the content of each shard, by its path below the working directory."""
        found = self.workflow.directory.glob("results/p/*/shards/*/*.h5")
        return {str(path.relative_to(self.workflow.directory)): path.read_bytes() for path in found}


def prepare(workflow: Workflow, residues: int, shards: int = 1, tokens_per_batch: int | str = "auto") -> None:
    """Write a dataset of proteins of so many residues in all, that is divided into so many shards, at least."""
    workflow.directory.mkdir(exist_ok=True)
    draw = random.Random(residues)
    lengths = [draw.randint(50, 150) for _ in range(residues // 100)]
    workflow.fasta("p.fasta", {f"p{i}": "M" + "".join(draw.choices("DEFGHIKL", k=k)) for i, k in enumerate(lengths)})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config["compute"] = {
        "device": "auto", "shard_tokens": 2 * residues // shards, "tokens_per_batch": tokens_per_batch,
    }  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, shared_checkpoints):
    """Return what embeds the same without SLURM, once."""
    made: dict[tuple, dict[str, bytes]] = {}

    def shards(*prepared):
        if prepared not in made:
            local = Workflow(tmp_path_factory.mktemp("local"), shared_checkpoints)
            prepare(local, *prepared)
            local.run("embeddings").succeeded()
            made[prepared] = OnSlurm(local, Path()).shards()
        return made[prepared]

    return shards


@pytest.fixture
def to_embed(on_slurm):
    """Return what prepares a working directory of which only the shards are still to be made, on the cluster."""

    def prepared(*dataset, arguments=()):
        there = on_slurm(*arguments)
        prepare(there.workflow, *dataset)
        there.workflow.run("results/p/records.tsv", "results/p/sequences/shards.tsv").succeeded()
        return there

    return prepared


@pytest.fixture
def on_slurm(slurm, profile, tmp_path, shared_checkpoints):
    """Return what makes a working directory whose jobs go to the cluster."""
    before = set(slurm.jobs())

    def made(*arguments):
        return OnSlurm(Workflow(tmp_path / "work", shared_checkpoints), profile, *arguments)

    made.cluster = slurm
    made.jobs = lambda *states: {number: job for number, job in slurm.jobs(*states).items() if number not in before}
    return made


def rules_of(jobs: dict[int, dict[str, str]]) -> list[str]:
    return [re.match(r"rule_(\w+?)_wildcards", job["Comment"]).group(1) for job in jobs.values()]


def test_a_run_goes_where_the_profile_says(on_slurm, undisturbed):
    there = on_slurm()
    prepare(there.workflow, 6000, 3)
    said = there.run().succeeded().output
    assert "All results are there." in said
    assert there.shards() == undisturbed(6000, 3)
    jobs = on_slurm.jobs()
    assert set(rules_of(jobs)) == {"normalize", "embed", "assemble", "draw"}
    embedding = [job for job in jobs.values() if job["Comment"].startswith("rule_embed_")]
    assert len(embedding) == len(there.shards()) > 1
    assert {job["Partition"] for job in embedding} == {"gpu"}
    assert {job["TresPerJob"] for job in embedding} == {"gres:gpu:1"}
    assert {job["Partition"] for job in jobs.values() if job not in embedding} == {"cpu"}
    first, second, *_ = sorted(embedding, key=lambda job: job["StartTime"])
    assert second["StartTime"] < first["EndTime"], "one at a time"


def test_a_cancelled_job_is_tried_again(on_slurm, to_embed, undisturbed):
    expected, there = undisturbed(*LONG), to_embed(*LONG)
    process = there.start(*expected)
    number = on_slurm.cluster.wait_for("embed")
    subprocess.run(["scancel", str(number)], check=True)
    there.end(process).succeeded()
    assert rules_of(on_slurm.jobs()) == ["embed", "embed"]
    assert there.shards() == expected


def test_a_job_of_a_lost_node_is_tried_again(on_slurm, to_embed, undisturbed):
    expected, there = undisturbed(*LONG), to_embed(*LONG)
    process = there.start(*expected)
    on_slurm.cluster.wait_for("embed")
    on_slurm.cluster.stop_node()
    time.sleep(1)
    on_slurm.cluster.start_node()
    there.end(process).succeeded()
    embedding = [job for job in on_slurm.jobs().values() if job["Comment"].startswith("rule_embed_")]
    assert len(embedding) + sum(int(job["Restarts"]) for job in embedding) > 1
    assert there.shards() == expected


def test_a_job_out_of_time_goes_on_with_more(on_slurm, to_embed, undisturbed):
    """A job that has begun to compute and then hangs, as on a hung file system, until its minute is over."""
    expected, there = undisturbed(*LONG), to_embed(*LONG, arguments=("--set-resources", "embed:runtime=attempt"))
    process = there.start(*expected)
    number = on_slurm.cluster.wait_for("embed")
    there.wait_for_rows()
    on_slurm.cluster.halt()
    there.end(process).succeeded()
    assert on_slurm.jobs()[number]["JobState"] == "TIMEOUT"
    (said,) = re.findall(r"(\d+) of (\d+) sequences are already embedded", there.log_of_embed())
    assert 0 < int(said[0]) < int(said[1])
    assert there.shards() == expected


def test_a_job_out_of_memory_gets_more(on_slurm, to_embed, undisturbed):
    expected = undisturbed(6000, 1)
    there = to_embed(6000, 1, arguments=("--set-resources", "embed:mem_mb=100*10**(attempt-1)"))
    there.run(*expected).succeeded()
    memory = [job["MinMemoryNode"] for job in on_slurm.jobs().values() if job["Comment"].startswith("rule_embed_")]
    assert memory == ["100M", "1000M"]


def test_what_would_fail_again_is_not_tried_again(on_slurm):
    there = on_slurm()
    prepare(there.workflow, 3000)
    there.workflow.fasta("p.fasta", {"a": "MK-VLA"})
    there.run().failed("Failed, and why:\n  logs/normalize/p.log\n    InputError: dataset p: p.fasta: 1 of 1 records")
    assert rules_of(on_slurm.jobs()) == ["normalize"]


def test_jobs_of_a_killed_run_may_go_on_meanwhile(on_slurm, to_embed, undisturbed):
    """Snakemake is killed, its job runs on; the job of the next run waits for it and takes what it made."""
    expected, there = undisturbed(*LONG), to_embed(*LONG)
    process = there.start(*expected)
    first = on_slurm.cluster.wait_for("embed")
    process.send_signal(signal.SIGKILL)
    process.wait()
    # With --unlock in a command of its own, a slow machine ends the first job before the next run has looked.
    there.run("--nolock", *expected).succeeded()
    embedding = [n for n, job in on_slurm.jobs().items() if job["Comment"].startswith("rule_embed_")]
    assert first in embedding
    assert len(embedding) == 2
    assert there.shards() == expected
