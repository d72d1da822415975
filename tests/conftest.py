"""Fixtures for several tests: recorded results, tiny checkpoints, and real runs of the workflow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Set before torch is loaded: several tests share the cores, and threads that spin while they wait slow the others down.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import loopback
import numpy as np
import pytest
from fetching_cases import CONFIG, WEIGHTS
from golden_cases import GOLDEN, Checkpoints, GoldenCheckpoint
from hypothesis import settings
from workflow_runs import Workflow

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model

# What takes longest begins first: of several processes, none is idle at the end. The rest begin as they are found.
LONGEST = ("workflow/test_slurm.py", "workflow/test_clone.py", "faults/test_kill.py", "workflow", "faults", "golden")

# The time of an example depends on the machine, so none is too slow.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order, by where they are."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix()
        return next((n for n, start in enumerate(LONGEST) if name.startswith(start)), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def manifest() -> dict[str, Any]:
    return json.loads((GOLDEN / "manifest.json").read_text())


@pytest.fixture(scope="session")
def golden_checkpoints(manifest: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """The recorded checkpoints, converted and loaded."""
    loaded = Checkpoints()
    for name, entry in manifest["checkpoints"].items():
        model = Model(entry["llm_version"], int(entry["llm_step"]))
        folder = tmp_path_factory.mktemp(name)
        convert(locate(GOLDEN / entry["llm_dir"], model), folder)
        arrays = dict(np.load(GOLDEN / entry["arrays"]))
        loaded[name] = GoldenCheckpoint(folder, load_encoder(folder), arrays)
    return loaded


@pytest.fixture(scope="session")
def shared_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for converted checkpoints that several working directories share."""
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture
def workflow(tmp_path: Path, shared_checkpoints: Path) -> Workflow:
    """A separate working directory for runs of LucaFlow."""
    return Workflow(tmp_path, shared_checkpoints)


@pytest.fixture
def server() -> Iterator[loopback.Loopback]:
    """A server on loopback with a small checkpoint in the folder `new`."""
    with loopback.serving() as server:
        server.files = {"/new/config.json": CONFIG, "/new/pytorch.pth": WEIGHTS}
        yield server
