"""Results that are damaged, moved, on a full disk, or without what a machine usually has."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import h5py
import pytest
from workflow_runs import Run, Workflow

from lucaflow.files.checksums import size_and_sha256

# One worker makes the finished run that most of them start from.
pytestmark = pytest.mark.xdist_group("results")
NOTHING = "Nothing to be done"
# They say how long something took, or hold the checksum of a file that does.
VARYING = ("summary.tsv", "SHA256SUMS")
PROTEINS = {f"p{i}": "M" + "".join(random.Random(i).choices("DEFGHIKL", k=8 + i)) for i in range(12)}
DAMAGED = {
    "the file of embeddings": "results/p/mini-1/embeddings.h5",
    "a shard": "results/p/mini-1/shards/*/*.h5",
    "the records": "results/p/records.tsv",
    "what was verified": "results/p/mini-1/verified.json",
    "predictions": "results/p/predictions/MiniProtLoc.csv",
    "rows that were not predicted": "results/p/predictions/MiniProtLoc.failed.csv",
    "what was predicted": "results/p/predictions/MiniProtLoc.json",
    "a shard for predictions": "results/p/heads/mini-1/*/*.h5",
    "a checkpoint": "checkpoints/mini-1-*/model.safetensors",
    "what a checkpoint is": "checkpoints/mini-1-*/checkpoint.json",
    "a downstream model": "checkpoints/head-*/model.safetensors",
    "what a step wrote": "results/p/receipts/assemble-mini-1.json",
}
# Of the damage in one of these, none hides another from `verify`, and the next run mends all of it.
AT_ONCE = (
    ("a shard", "predictions", "rows that were not predicted", "what was predicted", "a shard for predictions"),
    ("the records", "a checkpoint", "what a checkpoint is", "a downstream model"),
    ("the file of embeddings", "what was verified"),
    ("what a step wrote",),
)


def prepare(workflow: Workflow) -> None:
    workflow.directory.mkdir(exist_ok=True)
    workflow.fasta("p.fasta", PROTEINS)
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot", "tasks": "MiniProtLoc"})
    workflow.config |= {
        "checkpoints": {"directory": "checkpoints"},
        "embedding": {"outputs": ["mean", "max"]},
        "compute": {"device": "cpu", "shard_tokens": 150},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Workflow:
    workflow = Workflow(tmp_path_factory.mktemp("finished") / "work", Path())
    prepare(workflow)
    workflow.run().succeeded()
    return workflow


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of a finished run, elsewhere, without what Snakemake remembers."""
    shutil.copytree(finished.directory, tmp_path / "elsewhere")
    workflow = Workflow(tmp_path / "elsewhere", Path())
    workflow.config = finished.config
    workflow.forget()
    return workflow


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def largest_array(path: Path) -> tuple[int, int]:
    """Return where the values of the largest array of a file begin, and how many bytes they are."""
    found: list[tuple[int, int]] = []

    def add(_: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
            found.append((item.id.get_storage_size(), item.id.get_offset()))

    with h5py.File(path) as file:
        file.visititems(add)
    size, start = max(found)
    return start, size


def flip(path: Path) -> None:
    """Change a bit in the middle; of HDF5, which leaves space unused, in the middle of the largest array."""
    content = bytearray(path.read_bytes())
    start, size = largest_array(path) if path.suffix == ".h5" else (0, len(content))
    content[start + size // 2] ^= 1
    path.write_bytes(content)


def check_damage(workflow: Workflow, damages: dict[str, Callable[[Path], None]]) -> None:
    """Damage a file of each kind. `verify` names them all, and the next run makes them again."""
    paths = {kind: min(workflow.directory.glob(DAMAGED[kind])) for kind in damages}
    contents = {path: path.read_bytes() for path in paths.values()}
    for kind, damage in damages.items():
        damage(paths[kind])
    workflow.run("verify").failed(*(str(path.relative_to(workflow.directory)) for path in contents))
    workflow.run().succeeded()
    changed = [path for path, content in contents.items() if path.read_bytes() != content]
    assert not [path for path in changed if path.suffix != ".json"]
    workflow.run("verify").succeeded()


def test_a_damaged_file_is_named_and_made_again(copied):
    check_damage(copied, {"the file of embeddings": flip})


@pytest.mark.long
def test_all_that_is_not_hdf5_has_a_checksum(copied):
    """A bit of every text, table and picture changes, all at once."""
    results = copied.directory / "results"
    paths = {path for path in results.rglob("*") if path.is_file() and not path.name.startswith(".")}
    # Receipts hold the checksums, and the estimate is of one run.
    paths -= {path for path in paths if path.parent.name == "receipts" or path.name == "preflight.json"}
    paths -= {path for path in paths if path.suffix == ".h5"}
    contents = {path: path.read_bytes() for path in paths}
    assert len(paths) > 15
    for path in paths:
        flip(path)
    copied.run("verify").failed(*(str(path.relative_to(copied.directory)) for path in paths))
    assert not any(path.exists() for path in paths)
    copied.run().succeeded()
    # Reports say how long something took; a page has identifiers that are drawn anew.
    changed = {path.name for path in paths if path.read_bytes() != contents[path]}
    assert not {name for name in changed if not name.endswith((".json", ".html")) and name not in VARYING}
    copied.run("verify").succeeded()


@pytest.mark.long
@pytest.mark.parametrize("kinds", AT_ONCE, ids=lambda kinds: kinds[0])
def test_each_kind_of_file(copied, kinds):
    """One is cut short, the next has a changed bit; a shard, both."""
    ways = dict(zip(DAMAGED, cycle((truncate, flip))))
    check_damage(copied, {kind: ways[kind] for kind in kinds})


@pytest.mark.long
def test_a_shard_that_is_cut_short(copied):
    check_damage(copied, {"a shard": truncate})


def test_every_kind_of_file_is_damaged():
    assert sorted(kind for kinds in AT_ONCE for kind in kinds) == sorted(DAMAGED)


def test_times_decide_nothing(copied):
    """In a copy, inputs, results and checkpoint are dated at random, up to two hours ahead, in any order."""
    draw = random.Random(1)
    now = time.time()
    for path in copied.directory.rglob("*"):
        moment = now + draw.uniform(-7200, 7200)
        os.utime(path, (moment, moment))
    assert NOTHING in copied.run().succeeded().output
    # With another record each step reads something that is dated ahead, also when its job has ended.
    path = copied.fasta("p.fasta", {**PROTEINS, "new": "MKWWWW"})
    os.utime(path, (now + 7200, now + 7200))
    copied.run().succeeded()
    assert NOTHING in copied.run().succeeded().output


def test_verify_removes_nothing_outside(copied):
    """Whatever the files of a folder say, also where their receipts agree."""
    folder, victim = copied.directory / "results/p", copied.directory / "victim"
    victim.mkdir()
    for name in ("notes.txt", "shard.h5", "x.fasta"):
        (victim / name).write_text("mine")
    (copied.directory / "results/p/mini-1/shards/notes.txt").write_text("mine")
    (shards,) = (folder / "mini-1/shards").glob("*/")
    (shards / "my.h5").write_text("mine")
    outside = ("shards/../../../../victim/notes.txt", f"{victim}/shard.h5", "../../../victim")
    forge(
        folder / "mini-1/verified.json",
        lambda content: content["files"].update({name: {"bytes": 1} for name in outside}),
    )
    shard = "../../../../../victim/shard"
    forge(folder / "heads/plan.json", lambda content: content["groups"][0].update(shards=[shard]))
    entry = {"bytes": 1, "sha256": "0" * 64}
    (folder / "notes.txt").write_text("mine")
    forge(folder / "receipts/draw-mini-1.json", lambda content: content["outputs"].update({"notes.txt": entry}))
    outside = {"../../victim/notes.txt": entry}
    forge(folder / "receipts/normalize.json", lambda content: content["outputs"].update(outside))
    (folder / "receipts/my_list.json").write_text("mine")
    (folder / "predictions/MiniProtLoc.html").unlink()
    (folder / "predictions/MiniProtLoc.html").symlink_to(victim / "x.fasta")
    (victim / "bbbbbbbbbbbb").mkdir()
    (victim / "bbbbbbbbbbbb/0123456789abcdef.h5").write_text("mine")
    (shards.parent / "bbbbbbbbbbbb").symlink_to(victim / "bbbbbbbbbbbb")
    files = [path for path in copied.directory.rglob("*") if path.is_file() and not path.is_symlink()]
    mine = [path for path in files if path.read_bytes() == b"mine"]
    assert len(mine) == 8
    said = copied.run("verify").failed("is not a file inside", "notes.txt is not a result of this step").output
    assert "a link leads out. It was not checked, and was left unchanged." in said
    copied.run("verify")
    copied.run()
    assert "a link leads out. It was left unchanged." in copied.run("remove_older").output
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)


def forge(path: Path, change: Callable[[dict], None]) -> None:
    """Change a JSON file, and its SHA-256 in the receipts of its folder."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    for receipt in (path.parents[1] / "receipts").glob("*.json"):
        listed = json.loads(receipt.read_text())
        name = path.relative_to(path.parents[1]).as_posix()
        if name in listed["outputs"]:
            listed["outputs"][name] = size_and_sha256(path)
            receipt.write_text(json.dumps(listed))


@pytest.mark.long
def test_two_runs_at_once(tmp_path):
    """The second is refused, and the first continues."""
    workflow = Workflow(tmp_path / "work", Path())
    prepare(workflow)
    command = workflow.command()
    first = subprocess.Popen(
        command, cwd=workflow.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while not list((workflow.directory / ".snakemake").glob("locks/*")):
        assert first.poll() is None
    workflow.run().failed("LockException")
    output, _ = first.communicate()
    Run(first.returncode, output).succeeded()
    workflow.run("verify").succeeded()


@contextmanager
def mounted(folder: Path, options: str):
    """Mount a small file system in memory, where a test may."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.long
def test_a_disk_that_is_full_again_and_again(tmp_path, finished):
    """Each time there is a little more room, until all of it fits."""
    workflow = Workflow(tmp_path / "work", Path())
    prepare(workflow)
    workflow.config["checkpoints"] = {"directory": str(finished.directory / "checkpoints")}
    with mounted(workflow.directory / "results", "size=32k"):
        failed = 0
        for kilobytes in (64, 200, 600, 8000, 16000):
            run = workflow.run()
            if run.code == 0:
                break
            run.failed("Make room")
            failed += 1
            options = f"remount,size={kilobytes}k"
            subprocess.run(["mount", "-o", options, str(workflow.directory / "results")], check=True)
        assert failed >= 3
        workflow.run("verify").succeeded()
        for name in ("records.tsv", "mini-1/embeddings.h5", "predictions/MiniProtLoc.csv"):
            path = Path("results/p") / name
            assert (workflow.directory / path).read_bytes() == (finished.directory / path).read_bytes()


@pytest.mark.long
def test_inputs_that_cannot_be_written(tmp_path):
    """The data, the configuration and the clone of a shared installation may be read-only."""
    workflow = Workflow(tmp_path / "work", Path())
    prepare(workflow)
    data = tmp_path / "data"
    with mounted(data, "size=1m"):
        shutil.move(workflow.directory / "p.fasta", data / "p.fasta")
        subprocess.run(["mount", "-o", "remount,ro", str(data)], check=True)
        workflow.datasets({"dataset": "p", "path": str(data / "p.fasta"), "seq_type": "prot"})
        workflow.run("embeddings").succeeded()
