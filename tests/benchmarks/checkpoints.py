"""Measure time and memory of each stage from fetching to the first embedding, at LucaOne's full size.

    python tests/benchmarks/checkpoints.py --folder /path/with/25/GB

The checkpoint has random weights with the names and shapes in tests/golden/embedding/state_dict_keys.txt, including the
heads of its training. It is served on loopback. Each stage runs in its own process, whose peak memory includes mapped
files.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from networks import FULL

from lucaflow.checkpoints.conversion_job import convert_in_subprocess
from lucaflow.checkpoints.converted_checkpoint import MODEL_NAME, EncoderSource
from lucaflow.checkpoints.fetching import fetch
from lucaflow.checkpoints.layouts import Origin
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.registry import Place, PublishedFile

KEYS = Path(__file__).resolve().parents[1] / "golden/embedding/state_dict_keys.txt"
RESIDUES = 300


def stage_write(folder: Path, dtype: str) -> None:
    """Write config.json and pytorch.pth with random weights."""
    folder = folder / "server"
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in re.findall(r"^[E-]  (\S+)  \(([\d, ]*)\)", KEYS.read_text(), re.MULTILINE):
        size = [int(number) for number in shape.split(",") if number.strip()]
        scale = 0.02 if len(size) > 1 else 1.0
        state[name] = (scale * torch.randn(size, generator=generator)).to(getattr(torch, dtype))
    state["lm_head.weight"] = state["embed_tokens.weight"]
    folder.mkdir()
    torch.save(state, folder / "pytorch.pth")
    (folder / "config.json").write_text(json.dumps(asdict(FULL.config)))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing: the output is the table."""


def serve(folder: Path) -> str:
    """Serve a folder on loopback; return its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def stage_fetch(folder: Path, address: str) -> None:
    files = (PublishedFile("config.json"), PublishedFile("pytorch.pth"))
    fetch([Place("lucaone-1", "server", address, files)], folder / "published")


def stage_convert(folder: Path, _: str) -> None:
    published = folder / "published"
    origin = Origin(Model("lucaone", 1), "lucaone", published / "config.json", (published / "pytorch.pth",))
    convert_in_subprocess(EncoderSource.converter, origin, folder / "converted")


def stage_load(folder: Path, _: str) -> None:
    """Load the network, which reads every weight."""
    load_encoder(folder / "converted")


def stage_embed(folder: Path, _: str) -> None:
    """Load the network and embed one protein in one pass."""
    encoder = load_encoder(folder / "converted")
    tokens = torch.randint(5, 30, (RESIDUES + 2,), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        hidden = encoder(tokens, torch.ones_like(tokens), [len(tokens)])
    assert torch.isfinite(hidden).all()


STAGES = {"fetch": stage_fetch, "convert": stage_convert, "load": stage_load, f"embed {RESIDUES} residues": stage_embed}


def measure(stage: str, folder: Path, argument: str) -> tuple[float, int]:
    """Return the seconds, including imports, and the peak memory (bytes) of a stage in its own process."""
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder), "--argument", argument]
    started = time.perf_counter()
    peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - started, int(peak)


def run_stage(stage: str, folder: Path, argument: str) -> None:
    """Run a stage; print the peak memory (bytes) of this process or of its largest child, whichever is more."""
    (stage_write if stage == "write" else STAGES[stage])(folder, argument)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(peak * unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    parser.add_argument("--stage", choices=("write", *STAGES))
    parser.add_argument("--argument", default="")
    arguments = parser.parse_args()
    if arguments.stage:
        run_stage(arguments.stage, arguments.folder, arguments.argument)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        measure("write", folder, arguments.dtype)
        size = (folder / "server/pytorch.pth").stat().st_size
        print(f"pytorch.pth: {size / 1e9:.2f} GB, {arguments.dtype}")
        address = serve(folder / "server")
        print("| stage | seconds | peak memory | of the weights kept |\n|---|---|---|---|")
        measured = {}
        for stage in STAGES:
            measured[stage] = measure(stage, folder, address)
            if stage == "convert":
                # Frees the page cache, so that a machine of 24 GB can keep the converted files in memory.
                shutil.rmtree(folder / "server")
                shutil.rmtree(folder / "published")
        kept = (folder / "converted" / MODEL_NAME).stat().st_size
        for stage, (seconds, peak) in measured.items():
            print(f"| {stage} | {seconds:.1f} | {peak / 1e9:.2f} GB | {peak / kept:.2f} |")
        print(f"weights kept: {kept / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
