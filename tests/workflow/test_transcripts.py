"""docs/transcripts.md shows what is said: each of its commands is run, and says each of the lines below it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
from workflow_runs import ROOT

pytestmark = pytest.mark.long
PAGE = (ROOT / "docs/transcripts.md").read_text(encoding="utf-8")


def transcript(heading: str) -> tuple[str, list[str]]:
    """Return the command of a part of the page, and the lines that it says."""
    (part,) = (part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if part.startswith(heading))
    (text,) = re.findall(r"^```text\n\$ (.*?)^```", part, re.MULTILINE | re.DOTALL)
    command, *lines = text.splitlines()
    return command, [line for line in lines if line.strip() not in ("", "…")]


def plain(line: str) -> str:
    """Return a line without what differs from run to run: numbers, digests, sizes, where it ran."""
    line = re.sub(r"/\S*/(?=(logs|results|\.snakemake)/)", "", line)
    line = re.sub(r"\b[0-9a-f]{8,16}\b", "#", line)
    line = re.sub(r"\b\d[\d,.:]*( (seconds|minutes|s|bytes|[kMG]B))?\b", "#", line)
    return re.sub(r"\s+", " ", line).strip()


def started(command: str, folder: Path) -> subprocess.Popen[str]:
    """Start what the page says, with the clone that is tested."""
    here = f"{shlex.quote(sys.executable)} -m snakemake --snakefile {shlex.quote(str(ROOT))}/Snakefile --directory ."
    return subprocess.Popen(
        command.replace(".venv/bin/snakemake", here), cwd=folder, shell=True, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def run(command: str, folder: Path) -> str:
    said, _ = started(command, folder).communicate()
    return said


def compare(heading: str, folder: Path) -> None:
    command, lines = transcript(heading)
    said = run(command, folder)
    there = {plain(line) for line in re.split(r"[\n\r]", said)}
    assert len(lines) > 5
    assert [line for line in lines if plain(line) not in there] == [], said


@pytest.fixture
def folder(tmp_path):
    """What the page says is there before the first command."""
    (tmp_path / "my.yaml").write_text("datasets: my_datasets.tsv\nmodel:\n  llm_version: mini\n")
    (tmp_path / "my_datasets.tsv").write_text("dataset\tpath\tseq_type\nmy_proteins\tmy_proteins.fasta\tprot\n")
    (tmp_path / "my_proteins.fasta").write_text(">P12345 a protein\nMKVLAWRRKLAW\n>sp|P2|X\nMWWKKLLA*\n")
    return tmp_path


def test_a_good_run(folder):
    compare("A good run", folder)


def test_a_bad_input(folder):
    assert "All results are there." in run(transcript("A good run")[0], folder)
    (folder / "my_proteins.fasta").write_text(
        ">P12345 a protein\nMKVL-AWRRK?LAW\n>sp|P2|X\nMWWKKLLA*\n>sp|P2|X again\nMWW\n>P4\n"
    )
    compare("A bad input", folder)


def test_a_run_that_is_resumed(folder):
    """Everything is killed while the embedding job computes."""
    core, letters = "KVLAWRRKLAWQE", "ACDEFGHIKL"
    sequences = (f"M{core * (10 + i % 40)}{letters[i % 10] * (1 + i // 10)}" for i in range(900))
    (folder / "my_proteins.fasta").write_text("".join(f">p{i}\n{text}\n" for i, text in enumerate(sequences)))
    killed = started(transcript("A good run")[0], folder)
    deadline = time.monotonic() + 200
    while not has_begun(folder):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    compare("A run that was killed, and goes on", folder)


def has_begun(folder: Path) -> bool:
    """Say whether a shard's working file holds results."""
    for path in folder.glob("results/*/*/shards/*/.*.working"):
        with h5py.File(path, locking=False) as shard:
            return bool(shard["checksums"][:].any())
    return False
