"""Files and folders that are deleted or changed below results/ or among the checkpoints: they are made again."""

from __future__ import annotations

import itertools
import logging
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from workflow_runs import Workflow

logger = logging.getLogger(__name__)
pytestmark = [pytest.mark.xdist_group("deletions"), pytest.mark.long]
# They hold times, identifiers that are drawn anew, the checksum of such a file, or the numbers of one run.
VARYING = re.compile(r"summary\.|SHA256SUMS|run\.|\.html$|receipts/|preflight\.json|checkpoint\.json|head\.json")
PAIRS = 8
FLIPS = 3


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Workflow:
    """A run with linked matrices, exports of one file and of many, and predictions."""
    workflow = Workflow(tmp_path_factory.mktemp("finished") / "work", Path())
    workflow.directory.mkdir()
    draw = random.Random(1)
    workflow.fasta("p.fasta", {f"p{i}": "M" + "".join(draw.choices("DEFGHIKL", k=8 + i)) for i in range(12)})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot", "tasks": "MiniProtLoc"})
    workflow.config |= {
        "checkpoints": {"directory": "checkpoints"},
        "embedding": {"outputs": ["mean", "matrix"]},
        "export": ["standalone", "lucaone"],
        "compute": {"device": "cpu", "shard_tokens": 90},
    }
    workflow.run().succeeded()
    return workflow


@pytest.fixture
def draw(caplog) -> random.Random:
    """A generator whose seed a failure shows, with all that the test logs."""
    caplog.set_level(logging.INFO)
    seed = random.randrange(10**6)
    logger.info("seed %d", seed)
    return random.Random(seed)


def content(folder: Path) -> dict[str, bytes]:
    """Return the content of each result and model; of those that vary, an empty one."""
    files = [path for top in ("results", "checkpoints") for path in (folder / top).rglob("*") if path.is_file()]
    found = {path.relative_to(folder).as_posix(): path for path in files if not path.name.startswith(".")}
    return {name: b"" if VARYING.search(name) else path.read_bytes() for name, path in found.items()}


def kinds(folder: Path) -> list[str]:
    """Return a file or folder of each kind: names that are digests or numbers are of one kind."""
    paths = sorted(path for top in ("results", "checkpoints") for path in (folder / top).rglob("*"))
    names = [path.relative_to(folder).as_posix() for path in paths if not path.name.startswith(".")]
    by_kind = {re.sub(r"[0-9a-f]{12,}|lucaone/.+", "*", name): name for name in reversed(names)}
    return ["results", "checkpoints", *sorted(by_kind.values())]


def delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check(finished: Workflow, folder: Path, names: tuple[str, ...]) -> None:
    """Delete files or folders in a copy, and run it at most twice; all results must be as before."""
    copied = copy(finished, folder, finished.config)
    for name in names:
        delete(folder / name)
    run = copied.run()
    if run.code or content(folder) != content(finished.directory):
        run = copied.run()
    run.succeeded()
    assert content(folder) == content(finished.directory), names
    delete(folder)


def test_several_at_once(finished, tmp_path):
    """The records, a model, a shard with matrices, receipts, a folder."""
    (shard,) = itertools.islice(finished.directory.glob("results/p/mini-1/shards/*/*.h5"), 1)
    (model,) = finished.directory.glob("checkpoints/mini-1-*/model.safetensors")
    (sequences,) = itertools.islice(finished.directory.glob("results/p/sequences/shards/*.fasta"), 1)
    deleted = [path.relative_to(finished.directory).as_posix() for path in (shard, model, sequences)]
    deleted += ["results/p/records.tsv", "results/p/receipts/draw-mini-1.json", "results/p/mini-1/export"]
    check(finished, tmp_path / "work", tuple(deleted))


def test_one_of_each_kind_is_missed(finished, tmp_path):
    """A dry run plans the step that writes it."""
    copied = copy(finished, tmp_path / "work", finished.config)
    for name in kinds(copied.directory):
        (copied.directory / name).rename(tmp_path / "aside")
        said = copied.run("--dry-run").succeeded().output
        # The estimate is for information; it is written when a run is planned.
        assert "Nothing to be done" not in said or name.endswith("preflight.json"), name
        (tmp_path / "aside").rename(copied.directory / name)
    assert "Nothing to be done" in copied.run("--dry-run").succeeded().output


def test_random_pairs(finished, tmp_path, draw):
    for _ in range(PAIRS):
        names = tuple(draw.sample(kinds(finished.directory), 2))
        logger.info("deleted: %s", names)
        check(finished, tmp_path / "work", names)


def test_a_deleted_model_and_another_record(finished, tmp_path):
    """All records are in the results, whatever is changed at the same time."""
    other = {**finished.config, "embedding": {"outputs": ["mean", "matrix"], "layer": 2}}
    copied = copy(finished, tmp_path / "work", other)
    for path in copied.directory.glob("checkpoints/*/model.safetensors"):
        path.unlink()
    delete(copied.directory / "results/p/sequences/shards")
    with (copied.directory / "p.fasta").open("a") as file:
        file.write(">new\nMKLLLA\n")
    copied.run().succeeded()
    assert len((copied.directory / "results/p/predictions/MiniProtLoc.csv").read_text().splitlines()) == 14
    copied.run("verify").succeeded()


def test_a_flipped_bit_passes_into_no_result(finished, tmp_path, draw):
    """With another option the next run reads most files. It refuses the damaged one, makes it again or needs it not."""
    other = {**finished.config, "embedding": {"outputs": ["mean", "matrix"], "layer": 2}, "export": ["npy"]}
    undisturbed = copy(finished, tmp_path / "undisturbed", other)
    undisturbed.run().succeeded()
    expected = results_of(undisturbed)
    files = [name for name in kinds(finished.directory) if (finished.directory / name).is_file()]
    for name in draw.sample(files, FLIPS):
        copied = copy(finished, tmp_path / "work", other)
        content = bytearray((copied.directory / name).read_bytes())
        place, bit = draw.randrange(len(content)), draw.randrange(8)
        logger.info("%s: bit %d of byte %d", name, bit, place)
        content[place] ^= 1 << bit
        (copied.directory / name).write_bytes(content)
        if copied.run().code:
            copied.run("verify")
            copied.run().succeeded()
        assert results_of(copied) == expected
        delete(copied.directory)


def copy(finished: Workflow, folder: Path, config: dict) -> Workflow:
    subprocess.run(["cp", "-a", finished.directory, folder], check=True)
    copied = Workflow(folder, Path())
    copied.config = config
    return copied


def results_of(workflow: Workflow) -> dict[str, bytes]:
    names = ("records.tsv", "mini-1/embeddings.h5", "mini-1/export/mean.npy", "predictions/MiniProtLoc.csv")
    return {name: (workflow.directory / "results/p" / name).read_bytes() for name in names}


def test_a_checkpoint_that_only_a_downstream_model_uses(tmp_path):
    """It embeds no dataset; the run misses it all the same."""
    workflow = Workflow(tmp_path, Path())
    columns = "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b"
    workflow.write("pairs.csv", f"{columns}\ng,p,gene,prot,GCGTCG,MKVLAWRRKLAW\n")
    workflow.datasets({"dataset": "t", "path": "pairs.csv", "kind": "pair", "tasks": "MiniCentralDogma"})
    workflow.config["checkpoints"] = {"directory": "checkpoints"}
    workflow.run().succeeded()
    (checkpoint,) = tmp_path.glob("checkpoints/mini-1-*")
    delete(checkpoint)
    assert set(workflow.run().succeeded().jobs) == {"convert_checkpoint"}
    # The record of its conversion is needed to know that a task predicts anew.
    delete(checkpoint)
    workflow.config["heads"] = {"threshold": 0.7}
    assert set(workflow.run().succeeded().jobs) == {"convert_checkpoint", "predict", "summarise"}
    # Where checkpoints are does not matter.
    (tmp_path / "checkpoints").rename(tmp_path / "moved")
    workflow.config["checkpoints"] = {"directory": "moved"}
    assert set(workflow.run().succeeded().jobs) == {"summarise"}
    assert "Nothing to be done" in workflow.run().succeeded().output


def test_a_job_that_is_asked_for_hides_no_other(finished, tmp_path):
    """Snakemake looks no further than a current result behind a job that -R starts."""
    copied = copy(finished, tmp_path / "work", {**finished.config, "save_type": "tensor"})
    assert {"draw", "export_lucaone", "summarise"} <= set(copied.run("-R", "draw").succeeded().jobs)
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=copied.directory / "results", check=True)
    assert "Nothing to be done" in copied.run().succeeded().output
