"""Measure time and memory of reading, normalising and dividing records into shards.

    python tests/benchmarks/inputs.py 100000 1000000 10000000

For each number of records (proteins of 300 residues in lines of 60) it writes a FASTA file. Then it measures a bare
loop (parse, digest, sort), and `normalize` followed by `split`, each in its own process on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lucaflow.records.outcomes import Policies
from lucaflow.records.readers import Columns, read_records
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset
from lucaflow.records.sequences import split_sequences

RESIDUES = 300
LINE = 60
SHARD_TOKENS = 20_000_000


def write_records(path: Path, count: int) -> None:
    """Write random proteins. One in a thousand repeats the previous sequence under another id."""
    draw = np.random.default_rng(0)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", dtype=np.uint8)
    with path.open("wb") as file:
        for number in range(count):
            if number % 1000 or not number:
                text = letters[draw.integers(0, 20, RESIDUES)].tobytes()
            lines = b"\n".join(text[start : start + LINE] for start in range(0, RESIDUES, LINE))
            file.write(b">record_%d a synthetic protein\n%b\n" % (number, lines))
        # Otherwise the disk would still be writing the file while it is read.
        file.flush()
        os.fsync(file.fileno())


def bare_loop(path: Path) -> None:
    """Do the minimal work: parse, digest, sort."""
    digests = []
    with path.open("rb") as file:
        lines: list[bytes] = []
        for line in file:
            if line.startswith(b">"):
                digests.append(hashlib.sha256(b"".join(lines)).digest())
                lines = []
            else:
                lines.append(line.strip())
    digests.sort()


def normalise_and_split(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        names = ("records.tsv", "distinct.fasta", "labels.tsv", "counts.json", "problems.tsv")
        files = NormalisedFiles(*(Path(folder) / name for name in names))
        normalise_dataset(read_records(path, Columns()), path, "prot", Policies(), files)
        split_sequences(files.sequences, Path(folder) / "shards", SHARD_TOKENS)


TASKS = {"bare loop": bare_loop, "normalize + split": normalise_and_split}


def measure(task: str, path: Path) -> tuple[float, int]:
    """Return the seconds and the peak memory (bytes) of a task in its own process."""
    command = [sys.executable, __file__, "--task", task, "--file", str(path)]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", type=int, nargs="*", default=[100_000])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--task", choices=TASKS)
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.task:
        started = time.perf_counter()
        TASKS[arguments.task](arguments.file)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        print(time.perf_counter() - started, peak)
        return
    print("| records | file | step | seconds | MB/s | of the bare loop's speed | peak memory |")
    print("|---|---|---|---|---|---|---|")
    for count in arguments.records:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            path = Path(folder) / "records.fasta"
            write_records(path, count)
            size = path.stat().st_size / 1e6
            bare = None
            for task in TASKS:
                seconds, peak = measure(task, path)
                bare = bare or seconds
                print(
                    f"| {count:,} | {size:,.0f} MB | {task} | {seconds:.1f} | {size / seconds:.0f} "
                    f"| {bare / seconds:.2f} | {peak / 1e6:,.0f} MB |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
