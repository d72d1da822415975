"""From a server to embeddings: `snakemake fetch` on a login node, everything else without a connection."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import loopback
import pytest
from golden_cases import PACKAGED
from workflow_runs import Workflow

FILES = {
    path.name: path.read_bytes()
    for path in (PACKAGED / "embedding/checkpoints/T5/llm/models/lucaone/lucaone/checkpoint-step5600000").iterdir()
}
NEW = "/TrainedCheckPoint/latest/models/lucaone/lucaone/checkpoint-step5600000"
OLD = (
    "/TrainedCheckPoint/models/lucagplm/v2.0/token_level,span_level,seq_level,structure_level/lucaone_gplm/"
    "20231125113045/checkpoint-step5600000"
)
BLOCKER = """
import os, socket

connect = socket.socket.connect

def refuse(self, address):
    if self.family != socket.AF_UNIX:
        with open(os.environ["CONNECTIONS"], "a") as file:
            print(address, file=file)
        raise ConnectionRefusedError(f"no connection may be opened, not even to {address}")
    return connect(self, address)

socket.socket.connect = socket.socket.connect_ex = refuse
"""


@pytest.fixture
def server():
    with loopback.serving() as server:
        server.files = {f"{NEW}/{name}": content for name, content in FILES.items()}
        yield server


def prepare(workflow: Workflow, server, directory="checkpoints") -> Workflow:
    workflow.fasta("p.fasta", {"a": "MKVLAWRRKLAWMKVLAWRRK", "b": "MWWWKKLLR"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= {
        "model": {"llm_version": "lucaone", "llm_step": 5600000},
        "checkpoints": {"source": "server", "server": server.address, "directory": str(directory)},
    }
    return workflow


@pytest.fixture
def without_network(workflow):
    """Environment in which Python opens no connection, and notes each attempt."""
    site = workflow.directory / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BLOCKER)
    environment = {"PYTHONPATH": str(site), "CONNECTIONS": str(workflow.directory / "connections")}
    tried = subprocess.run(
        [sys.executable, "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9')"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no connection may be opened" in tried.stderr
    (workflow.directory / "connections").unlink()
    return environment


def test_fetch_then_run_without_any_connection(workflow, server, without_network):
    prepare(workflow, server)
    fetched = workflow.run("fetch").succeeded()
    assert "plain HTTP" in fetched.output
    assert "No checksum is published for pytorch.pth. Its SHA-256" in fetched.output
    done = workflow.run("embeddings", **without_network).succeeded()
    assert not (workflow.directory / "connections").exists()
    assert not done.jobs["fetch_checkpoint"]
    assert workflow.result("p", "verified.json", "lucaone-5600000").is_file()
    record = json.loads((workflow.directory / "checkpoints/lucaone-5600000-server/checkpoint.json").read_text())
    assert set(record["origin"]) == {
        f"../published/lucaone-5600000-server/{name}" for name in ("config.json", "pytorch.pth")
    }
    assert not workflow.run("embeddings", **without_network).succeeded().jobs


def test_without_a_connection_it_says_where_to_fetch(workflow, server):
    prepare(workflow, server)
    workflow.config["checkpoints"]["server"] = "http://127.0.0.1:9"
    # Asking again takes a while: the run is ended as soon as it has said what is wrong.
    process = subprocess.Popen(
        workflow.command("fetch"),
        cwd=workflow.directory,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = next(line for line in process.stdout if "Trying again in" in line)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert f"127.0.0.1:9{NEW}/config.json" in said


def test_the_older_place_is_used_where_the_newer_one_has_nothing(workflow, server):
    server.files = {f"{OLD}/{name}": content for name, content in FILES.items()}
    prepare(workflow, server)
    run = workflow.run("fetch").succeeded()
    assert "the server has no such file (404 Not Found). Trying the next place." in run.output


@pytest.mark.long
def test_files_of_a_fetched_checkpoint_that_were_deleted(workflow, server):
    """They are fetched again only if the converted model is missing too."""
    prepare(workflow, server).run("embeddings").succeeded()
    published, converted = (
        workflow.directory / "checkpoints" / name for name in ("published", "lucaone-5600000-server")
    )
    asked = len(server.asked)
    shutil.rmtree(published)
    shutil.rmtree(converted / "receipts")
    assert set(workflow.run("embeddings").succeeded().jobs) == {"convert_checkpoint"}
    assert len(server.asked) == asked
    (converted / "model.safetensors").unlink()
    assert set(workflow.run("embeddings").succeeded().jobs) == {"fetch_checkpoint", "convert_checkpoint"}
    (converted / "checkpoint.json").unlink()
    (published / converted.name / "pytorch.pth").unlink()
    assert set(workflow.run("embeddings").succeeded().jobs) == {"fetch_checkpoint", "convert_checkpoint"}
    assert not workflow.run("embeddings").succeeded().jobs


@pytest.mark.long
def test_two_working_directories_share_one_checkpoint(tmp_path, server):
    """Both start at once: one fetches and converts, the other waits for it and finds it done."""
    works = []
    for name in "ab":
        (tmp_path / name).mkdir()
        works.append(prepare(Workflow(tmp_path / name, tmp_path), server, tmp_path / "shared"))
    with ThreadPoolExecutor() as pool:
        for run in pool.map(lambda work: work.run("embeddings"), works):
            run.succeeded()
    assert sum(path.endswith("pytorch.pth") for path, _ in server.asked) == 1
    digests = {
        json.loads(work.result("p", "verified.json", "lucaone-5600000").read_text())["checkpoint_sha256"]
        for work in works
    }
    assert len(digests) == 1
    for work in works:
        assert not work.run("embeddings").succeeded().jobs
