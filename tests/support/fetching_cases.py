"""A small checkpoint on a loopback server, and checks of the folder into which it is fetched."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import torch
from workflow_runs import ROOT

from lucaflow.checkpoints.download import RetryPolicy
from lucaflow.checkpoints.fetched_record import FETCHED_RECORD, read_sums
from lucaflow.checkpoints.fetching import fetch
from lucaflow.checkpoints.registry import Place, PublishedFile

QUICK = RetryPolicy(connect_timeout=2, read_timeout=0.5, attempts=3, first_pause=0.01, longest_pause=0.05)
CONFIG = b'{"hidden_size": 8}'


def state_dict(megabytes: int, seed: int = 0) -> bytes:
    file = io.BytesIO()
    generator = torch.Generator().manual_seed(seed)
    torch.save({"x": torch.randn(megabytes << 18, generator=generator)}, file)
    return file.getvalue()


WEIGHTS = state_dict(4)


def place(server, folder="new", **known) -> Place:
    files = (PublishedFile("config.json"), PublishedFile("pytorch.pth", **known))
    return Place("lucaone-1", "server", f"{server.address}/{folder}", files)


def run(server, folder, **known) -> None:
    fetch([place(server, **known)], folder, retries=QUICK)


def assert_complete(folder: Path, weights: bytes = WEIGHTS) -> None:
    assert (folder / "config.json").read_bytes() == CONFIG
    assert (folder / "pytorch.pth").read_bytes() == weights
    assert read_sums(folder)["pytorch.pth"] == hashlib.sha256(weights).hexdigest()
    assert json.loads((folder / FETCHED_RECORD).read_text())["files"]["pytorch.pth"]["bytes"] == len(weights)
    assert not list(folder.glob("*.download*")) + list(folder.glob(".*.download*"))


def assert_incomplete(folder: Path) -> None:
    assert not (folder / "pytorch.pth").exists()
    assert not (folder / FETCHED_RECORD).exists()


def after_config(server, *faults) -> None:
    server.faults = [lambda answer, content: answer.give(content), *faults]


def ranges(server) -> list[str | None]:
    return [span for path, span in server.asked if path.endswith("pytorch.pth")]


def fetching_process(server, folder: Path, prepare: str = "", **options) -> subprocess.Popen[str]:
    """Fetch in a process of its own."""
    code = f"""
        import logging, sys
        sys.path.insert(0, {str(ROOT / "scripts")!r})
        logging.basicConfig(level=logging.INFO, stream=sys.stdout)
        from pathlib import Path
        import lucaflow.checkpoints.fetching
        from lucaflow.checkpoints.download import RetryPolicy
        from lucaflow.checkpoints.registry import Place, PublishedFile
        files = (PublishedFile("config.json"), PublishedFile("pytorch.pth"))
        {prepare}
        place = Place("lucaone-1", "server", {f"{server.address}/new"!r}, files)
        lucaflow.checkpoints.fetching.fetch([place], Path({str(folder)!r}), retries=RetryPolicy(read_timeout=30))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        **{"stderr": subprocess.STDOUT, **options},
    )


def wait_until(condition, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
