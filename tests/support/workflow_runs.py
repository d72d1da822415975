"""Real runs of the workflow, each in a directory of its own."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def copy_clone(folder: Path) -> None:
    """Copy every file that git tracks or does not ignore, in its present state."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    for name in filter(None, files.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@dataclass(frozen=True)
class Run:
    """The result of a run. log: Snakemake's own; jobs: number of finished jobs by rule."""

    code: int
    output: str
    log: str = ""

    @classmethod
    def of(cls, code: int, output: str, directory: Path, started: float) -> Run:
        """Return the result of a run in a directory. started: the time before it."""
        logs = (directory / ".snakemake/log").glob("*.snakemake.log")
        new = sorted(path for path in logs if path.stat().st_mtime >= started - 0.1)
        return cls(code, output, new[-1].read_text(encoding="utf-8") if new else "")

    @property
    def jobs(self) -> Counter[str]:
        done = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", self.log, re.MULTILINE)
        return Counter(rule for rule in done if rule != "all")

    def succeeded(self) -> Run:
        assert self.code == 0, self.output
        return self

    def failed(self, *words: str) -> Run:
        """Assert that the run failed and that its output contains each of `words`."""
        assert self.code != 0, self.output
        for word in words:
            assert word in self.output, f"not in the output: {word}\n{self.output}"
        return self


# Finished runs and copies of their folders, by what was run. The copies are removed when the process ends.
_FINISHED: dict[str, tuple[Run, tempfile.TemporaryDirectory[str]]] = {}


class Workflow:
    """Writes inputs and runs LucaFlow outside the clone, as a user of a shared clone does."""

    def __init__(self, directory: Path, checkpoints: Path) -> None:
        self.directory = directory
        self.root = ROOT
        self.config: dict[str, Any] = {
            "checkpoints": {"directory": str(checkpoints)},
            "model": {"llm_version": "mini"},
            "compute": {"device": "cpu"},
        }

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        return path

    def fasta(self, name: str, sequences: dict[str, str]) -> Path:
        return self.write(name, "".join(f">{key}\n{sequence}\n" for key, sequence in sequences.items()))

    def datasets(self, *rows: dict[str, str]) -> None:
        columns = list(dict.fromkeys(column for row in rows for column in row))
        lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
        self.write("datasets.tsv", "".join("\t".join(line) + "\n" for line in lines))

    def command(self, *arguments: str) -> list[str]:
        """Write the configuration; return the command that runs it."""
        self.write("config.yaml", yaml.safe_dump({"datasets": "datasets.tsv", **self.config}))
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(self.root / "Snakefile")),
            *("--directory", str(self.directory), "--configfile", "config.yaml", "--cores", "2", *arguments),
        ]

    def run(self, *arguments: str, **environment: str) -> Run:
        started = time.time()
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            # Several tests share the cores: threads that spin while they wait would slow the others down.
            env={**os.environ, "OMP_WAIT_POLICY": "passive", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run.of(done.returncode, done.stdout, self.directory, started)

    def shared_run(self, *targets: str) -> Run:
        """Run LucaFlow to the end, or copy the end of the same run in another test of this process.

        It is the same if it has the same targets, and begins with the same configuration and content of files. The copy
        keeps modification times.
        """
        self.command()
        files = sorted(path for path in self.directory.rglob("*") if path.is_file())
        content = ((path.relative_to(self.directory), path.read_bytes()) for path in files)
        key = hashlib.sha256(repr([self.root, targets, *content]).encode()).hexdigest()
        if key not in _FINISHED:
            run = self.run(*targets).succeeded()
            kept = tempfile.TemporaryDirectory(prefix="lucaflow-finished-")
            subprocess.run(["cp", "-a", f"{self.directory}/.", kept.name], check=True)
            _FINISHED[key] = run, kept
        run, kept = _FINISHED[key]
        shutil.rmtree(self.directory)
        subprocess.run(["cp", "-a", kept.name, self.directory], check=True)
        return run

    def forget(self) -> None:
        """Remove Snakemake's records of previous runs."""
        subprocess.run(["rm", "-rf", str(self.directory / ".snakemake")], check=True)

    def result(self, dataset: str, name: str, model: str = "mini-1") -> Path:
        return self.directory / "results" / dataset / model / name
