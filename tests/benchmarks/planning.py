"""Measure how long Snakemake takes to plan embedding, and its memory, for different numbers of shards.

    python tests/benchmarks/planning.py 100 999 9990

Each shard has one sequence, and each dataset has 999. The datasets are divided into shards first; `snakemake --dry-run`
of the remaining jobs is measured.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
MOST_SHARDS = 999


def prepare(folder: Path, shards: int) -> None:
    """Write datasets with `shards` sequences in total, and the configuration."""
    draw = random.Random(0)
    rows = ["dataset\tpath\tseq_type"]
    for number, start in enumerate(range(0, shards, MOST_SHARDS)):
        count = min(MOST_SHARDS, shards - start)
        texts = ("".join(draw.choices("ACDEFGHIKLMNPQRSTVWY", k=30)) for _ in range(count))
        (folder / f"{number}.fasta").write_text("".join(f">p{i}\n{text}\n" for i, text in enumerate(texts)))
        rows.append(f"d{number}\t{number}.fasta\tprot")
    (folder / "datasets.tsv").write_text("\n".join(rows) + "\n")
    config = {
        "datasets": "datasets.tsv",
        "checkpoints": {"directory": str(folder / "checkpoints")},
        "model": {"llm_version": "mini"},
        "compute": {"device": "cpu", "shard_tokens": 1},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def run(folder: Path, *arguments: str) -> tuple[float, float, str]:
    """Run Snakemake; return the seconds, its peak memory in MB, and its output."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    started = time.perf_counter()
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [*command, *arguments, "--configfile", str(folder / "config.yaml"), "--cores", "2"],
            stdout=said,
            stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
    text = (folder / "said").read_text()
    if status:
        raise RuntimeError(text[-2000:])
    return time.perf_counter() - started, usage.ru_maxrss / 1000, text


def main() -> None:
    """Print a row for each number of shards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=int, nargs="*", default=[100, 999, 9990])
    print("| shards | seconds | MB |\n|---|---|---|")
    for shards in parser.parse_args().shards:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, shards)
            run(folder, "estimate")
            seconds, megabytes, said = run(folder, "--dry-run")
            planned = int("".join(re.findall(r"^embed +(\d+)$", said, re.MULTILINE)[:1]) or 0)
            if planned != shards:
                raise RuntimeError(f"{planned} shards are planned, not {shards}\n{said[-2000:]}")
            print(f"| {shards:,} | {seconds:.1f} | {megabytes:.0f} |", flush=True)


if __name__ == "__main__":
    main()
