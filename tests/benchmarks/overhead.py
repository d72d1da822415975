"""Measure what the machinery around the computing costs, in jobs and in CPU seconds of the whole process tree.

    make benchmark-overhead

Checkpoints are converted before. A peer is measured in the same run: a plain loop in one Python process in the way of
LucaOneApp (tests/support/plain_lucaone.py), and one such process for each task in the way of LucaOneTasks. The full
network of 6.3 GB has random weights; without `--folder`, a folder with 20 GB free, it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import networks
from loading import seconds_to_first_batch

from lucaflow.checkpoints.state_dicts import published_shapes

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"
MINI = {"model": {"llm_version": "mini"}, "compute": {"device": "cpu"}}
# The files of the ten tasks: kind or type of sequence, tasks.
TASK_FILES = {
    "genes": ("gene", "SupKTax,GenusTax,SpeciesTax,ncRNAFam"),
    "proteins": ("prot", "ProtLoc,ProtStab"),
    "genes_proteins": ("gene prot", "CentralDogma,ncRPI"),
    "two_genes": ("gene gene", "InfA"),
    "two_proteins": ("prot prot", "PPI"),
}
ROWS = 22
LETTERS = {"gene": "ACGT", "prot": "ACDEFGHIKLMNPQRSTVWY"}


@dataclass(frozen=True)
class Measured:
    """A run: the CPU seconds of its process tree, and the jobs that finished."""

    cpu: float
    jobs: int


def measure(command: list[str], folder: Path) -> Measured:
    """Run a command to its end. Raises RuntimeError with its output if it fails."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=folder, stdout=said, stderr=said, env={**os.environ, "OMP_WAIT_POLICY": "passive"}
        )
        _, status, usage = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read()
    if status:
        raise RuntimeError(text[-3000:])
    jobs = len(re.findall(r"^\d+ of \d+ steps \(", text, re.MULTILINE))
    return Measured(usage.ru_utime + usage.ru_stime, jobs)


def snakemake(folder: Path, *arguments: str) -> Measured:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    return measure([*command, *arguments, "--configfile", "config.yaml"], folder)


def write(folder: Path, config: dict[str, Any], rows: Iterable[dict[str, str]]) -> None:
    """Write the configuration and the table of datasets."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["dataset", "path", "seq_type", "kind", "tasks"]
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    (folder / "datasets.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    (folder / "config.yaml").write_text(yaml.safe_dump({"datasets": "datasets.tsv", **config}))


def sequence(kind: str, draw: random.Random, length: int = 60) -> str:
    return "".join(draw.choices(LETTERS[kind], k=length))


def proteins(folder: Path, names: Iterable[str], count: int) -> list[dict[str, str]]:
    """Write files of random proteins; return their rows in the table of datasets."""
    rows = []
    for name in names:
        draw = random.Random(name)
        text = "".join(f">{number}\n{sequence('prot', draw)}\n" for number in range(count))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.fasta").write_text(text)
        rows.append({"dataset": name, "path": f"{name}.fasta", "seq_type": "prot"})
    return rows


def small_runs(folder: Path, checkpoints: Path) -> None:
    """Print the rows of small datasets."""
    config = {**MINI, "checkpoints": {"directory": str(checkpoints)}}
    two, more, many = folder / "two", folder / "more", folder / "many"
    write(two, config, proteins(two, ["warm"], 2))
    snakemake(two)
    write(two, config, proteins(two, ["a"], 2))
    found = snakemake(two)
    row("two proteins: jobs", found.jobs, "14", "7")
    row("two proteins: CPU s", found.cpu, "9.7", "6")
    row("nothing to do: CPU s", snakemake(two).cpu, "1.3", "1.3")
    write(more, config, proteins(more, [f"d{number}" for number in range(5)], 5))
    further = snakemake(more)
    row("each further dataset: jobs", (further.jobs - found.jobs) / 4, "12", "4")
    row("each further dataset: CPU s", (further.cpu - found.cpu) / 4, "8.0", "3")
    write(many, config, proteins(many, [f"d{number}" for number in range(300)], 2))
    row("dry run of 300 datasets: CPU s", snakemake(many, "--dry-run", "--quiet").cpu, "6.1", "5")


def ten_tasks(folder: Path) -> None:
    """Print the row of ten tasks on five files, and that of one process for each task."""
    rows = []
    folder.mkdir()
    for name, (types, tasks) in TASK_FILES.items():
        draw, types_of_sides = random.Random(name), types.split()
        lines = ["seq_id,seq_type,seq"] if len(types_of_sides) == 1 else [
            "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b"
        ]  # fmt: skip
        for number in range(ROWS):
            ids = [f"{name}{number}{side}" for side in "ab"[: len(types_of_sides)]]
            lines.append(",".join([*ids, *types_of_sides, *(sequence(kind, draw) for kind in types_of_sides)]))
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
        kind = {"kind": "pair"} if len(types_of_sides) > 1 else {"seq_type": types}
        rows.append({"dataset": name, "path": f"{name}.csv", "tasks": tasks, **kind})
    config = {
        "checkpoints": {"source": "local", "path": str(GOLDEN / "downstream"), "directory": "checkpoints"},
        "heads": {"source": "local", "path": str(GOLDEN / "downstream")},
        "model": {"llm_version": "lucaone", "llm_step": 5600000},
        "compute": {"device": "cpu"},
    }
    write(folder, config, rows)
    snakemake(folder, "fetch")
    found = snakemake(folder)
    row("ten tasks, five files, 110 rows: jobs", found.jobs, "106", "")
    row("ten tasks, five files, 110 rows: CPU s", found.cpu, "184", "60")
    alone = measure([sys.executable, __file__, "--embed-one-at-a-time", "mini", "--count", str(ROWS)], ROOT)
    row("ten processes of a plain loop: CPU s", 10 * alone.cpu, "", "")


def against_a_plain_loop(folder: Path) -> None:
    """Print the ratio of a plain loop in one process to a whole run in CPU s, for 100 proteins, 512 wide."""
    folder.mkdir()
    write_medium(folder / "lucaone")
    chosen = networks.proteins(100)
    (folder / "p.fasta").write_text("".join(f">{n}\n{one.residues}\n" for n, one in enumerate(chosen)))
    config = {
        "checkpoints": {"source": "local", "path": "lucaone", "directory": "checkpoints"},
        "model": {"llm_version": "lucaone"},
        "compute": {"device": "cpu"},
    }
    write(folder, config, [{"dataset": "p", "path": "p.fasta", "seq_type": "prot"}])
    snakemake(folder, "fetch")
    loop = [sys.executable, __file__, "--embed-one-at-a-time", networks.MEDIUM.name, "--count", "100"]
    ratios = []
    for _ in range(3):
        shutil.rmtree(folder / "results", ignore_errors=True)
        run = snakemake(folder)
        ratios.append(measure(loop, ROOT).cpu / run.cpu)
    row("100 proteins, 512 wide: CPU s of a plain loop over those of a whole run", sorted(ratios)[1], "1.1", "1.8")


def write_medium(root: Path) -> None:
    """Write a checkpoint of random weights, 512 wide, in LucaOne's layout."""
    shutil.copytree(GOLDEN / "embedding/checkpoints/T1", root)
    (weights,) = root.rglob("pytorch.pth")
    state: dict[str, torch.Tensor] = {}
    for name, tensor in networks.random_encoder(networks.MEDIUM, torch.device("cpu")).state_dict().items():
        names = published_shapes({name: tuple(tensor.shape)})
        state |= dict(zip(names, (part.clone() for part in tensor.chunk(len(names))), strict=True))
    torch.save(state, weights)
    weights.with_name("config.json").write_text(json.dumps(asdict(networks.MEDIUM.config)))


def embed_one_at_a_time(name: str, count: int) -> None:
    """Embed proteins in the way of LucaOneApp. name: of a network of tests/benchmarks/networks.py."""
    shape = next(shape for shape in (networks.MINI, networks.MEDIUM) if shape.name.startswith(name))
    with torch.inference_mode():
        networks.plain_loop(shape, networks.proteins(count), torch.device("cpu"))()


def row(what: str, found: float, before: str, to_reach: str) -> None:
    print(f"| {what} | {before} | {to_reach} | {found:.3g} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the full network has room")
    parser.add_argument("--embed-one-at-a-time", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.embed_one_at_a_time:
        embed_one_at_a_time(arguments.embed_one_at_a_time, arguments.count)
        return
    print("| | version 0.1 | to reach | found |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        small_runs(Path(name), Path(name) / "checkpoints")
        ten_tasks(Path(name) / "tasks")
        against_a_plain_loop(Path(name) / "medium")
    if arguments.folder:
        row("full network, warm: seconds to the first batch", seconds_to_first_batch(place=arguments.folder), "11", "6")


if __name__ == "__main__":
    main()
