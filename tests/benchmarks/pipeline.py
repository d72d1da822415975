"""Measure the time of a workflow run relative to the engine's own time, for one shard."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import networks
import yaml

from lucaflow.records.sequences import NormalisedSequence

CLONE = Path(__file__).resolve().parents[2]
_ENGINE = re.compile(r"residues in ([\d.]+) s")


def run(folder: Path, sequences: Sequence[NormalisedSequence], cores: int) -> tuple[float, float]:
    """Run the workflow in a new directory; return the seconds of the run, and those of the engine."""
    folder.mkdir()
    text = "".join(f">{number}\n{item.residues}\n" for number, item in enumerate(sequences))
    (folder / "proteins.fasta").write_text(text)
    (folder / "datasets.tsv").write_text("dataset\tpath\tseq_type\nproteins\tproteins.fasta\tprot\n")
    config = {"datasets": "datasets.tsv", "model": {"llm_version": "mini"}, "compute": {"device": "cpu"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(CLONE / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(folder / "config.yaml"), "--cores", str(cores), "--quiet", "all"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    taken = time.perf_counter() - started
    logs = list(folder.glob("logs/embed/**/*.log"))
    return taken, sum(float(_ENGINE.findall(log.read_text())[-1]) for log in logs)


def measure(count: int, cores: int) -> tuple[float, float]:
    """Return the engine's seconds for `count` proteins, and the ratio of the workflow's seconds to them.

    The workflow's seconds exclude its start-up, measured by a run of one protein: Snakemake, the checkpoint, and each
    rule once.
    """
    with tempfile.TemporaryDirectory() as name:
        start_up, _ = run(Path(name) / "one", networks.proteins(1), cores)
        whole, engine = run(Path(name) / "many", networks.proteins(count), cores)
    return engine, (whole - start_up) / engine
