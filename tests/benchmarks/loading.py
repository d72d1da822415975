"""Measure the seconds from `import torch` to the first embedded batch, with the full LucaOne network.

    python tests/benchmarks/loading.py --folder /path/with/7/GB

The checkpoint has random weights in LucaOne's shapes. It is read once before, so that it is in the page cache, as it is
for all jobs of a machine but the first. Each measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from networks import FULL
from random_checkpoint import write_checkpoint

from lucaflow.checkpoints.converted_checkpoint import MODEL_NAME
from lucaflow.files.checksums import sha256_of

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
RESIDUES = 100

# Prints the seconds after importing torch, after importing the engine, after loading, and after the first batch.
_MEASURED = """
import sys, time

started = time.perf_counter()
import torch

seconds = [time.perf_counter() - started]
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.sequences import NormalisedSequence

seconds.append(time.perf_counter() - started)
device = torch.device("cpu")
encoder = load_encoder(Path(sys.argv[2]), device)
seconds.append(time.perf_counter() - started)
engine = Engine.sized(encoder, EmbeddingOptions(), device, "auto")
next(engine.embed([NormalisedSequence("0" * 64, "prot", ("MKVLAWRRKLAW" * 1000)[: int(sys.argv[3])])]))
seconds.append(time.perf_counter() - started)
print(*seconds)
"""


class Seconds(NamedTuple):
    """Seconds since `import torch` began: after it, after all imports, after loading, after the first batch."""

    torch: float
    imports: float
    loaded: float
    first_batch: float


@contextmanager
def written_checkpoint(place: Path | None, layers: int) -> Iterator[Path]:
    """Write a checkpoint into a temporary folder in `place` or in the system's; remove it after the block.

    It has random weights and `layers` layers of LucaOne's width.
    """
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield write_checkpoint(Path(name), replace(FULL, layers=layers).config)


def measure(folder: Path, residues: int = RESIDUES) -> Seconds:
    """Load a converted checkpoint, embed one protein, both in a process of its own; return the seconds."""
    sha256_of(folder / MODEL_NAME)  # reads the file into the page cache
    command = [sys.executable, "-c", _MEASURED, str(SCRIPTS), str(folder), str(residues)]
    return Seconds(*map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()))


def seconds_to_first_batch(folder: Path | None = None, place: Path | None = None, rounds: int = 3) -> float:
    """Return the median seconds from `import torch` to the first batch of the full network, on the processor.

    folder: a converted checkpoint; None writes one of 6.3 GB with random weights in `place`, or in
    the system's folder for temporary files, and removes it.
    """
    if folder is None:
        with written_checkpoint(place, FULL.layers) as written:
            return seconds_to_first_batch(written, rounds=rounds)
    return statistics.median(measure(folder).first_batch for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to write the checkpoint meanwhile")
    parser.add_argument("--checkpoint", type=Path, help="a converted checkpoint to load instead of a random one")
    parser.add_argument("--layers", type=int, default=FULL.layers)
    parser.add_argument("--residues", type=int, default=RESIDUES)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.checkpoint:
        table(arguments.checkpoint, arguments.residues, arguments.rounds)
        return
    with written_checkpoint(arguments.folder, arguments.layers) as written:
        table(written, arguments.residues, arguments.rounds)


def table(folder: Path, residues: int, rounds: int) -> None:
    """Print the seconds of each round."""
    print(f"{(folder / MODEL_NAME).stat().st_size / 1e9:.2f} GB, a protein of {residues} residues, seconds")
    print("| import torch | other imports | load | first batch | in all |\n|---|---|---|---|---|")
    for _ in range(rounds):
        found = measure(folder, residues)
        steps = (found.torch, found.imports - found.torch, found.loaded - found.imports)
        cells = [*steps, found.first_batch - found.loaded, found.first_batch]
        print("| " + " | ".join(f"{cell:.1f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
