"""What runs after a change: docs/changes.md says it, and it is exactly that."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from golden_cases import PACKAGED
from workflow_runs import ROOT, Workflow, copy_clone

MODEL = "lucaone-36000000"


@dataclass
class Prepared:
    """A dataset that was embedded, and what a user may change."""

    workflow: Workflow
    sequences: dict[str, str]
    path: str = "p.fasta"
    # Further columns of the table of datasets.
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def checkpoint(self) -> Path:
        return self.workflow.directory / "lucaone"

    def write(self) -> None:
        self.workflow.fasta(self.path, self.sequences)
        self.workflow.datasets({"dataset": "p", "path": self.path, "seq_type": "prot", **self.columns})

    def restored(self) -> Prepared:
        """Return the same as it was after the first run, in the same place, with every modification time."""
        folder, kept = self.workflow.directory, self.workflow.directory.with_suffix(".kept")
        if kept.exists():
            shutil.rmtree(folder)
        else:
            folder.rename(kept)
        shutil.copytree(kept, folder)
        other = Workflow(folder, Path())
        other.config = {**self.workflow.config}
        return replace(self, workflow=other, sequences=dict(self.sequences))

    def clone_with(self, file: str, old: str, new: str) -> None:
        """Use a clone of LucaFlow in which one line is another."""
        clone = self.workflow.directory / "clone"
        copy_clone(clone)
        text = (clone / file).read_text()
        assert old in text
        (clone / file).write_text(text.replace(old, new))
        self.workflow.root = clone


def nothing(_: Prepared) -> None:
    pass


def touch(this: Prepared) -> None:
    (this.workflow.directory / this.path).touch()
    (this.workflow.directory / "datasets.tsv").touch()


def add(this: Prepared) -> None:
    this.sequences["new"] = "MWWWW"


def remove(this: Prepared) -> None:
    del this.sequences["p7"]


def edit(this: Prepared) -> None:
    this.sequences["p7"] = this.sequences["p7"][:-1] + "W"


def rename(this: Prepared) -> None:
    this.sequences = {f"{name}-renamed" if name == "p7" else name: text for name, text in this.sequences.items()}


def reorder(this: Prepared) -> None:
    this.sequences = dict(reversed(this.sequences.items()))


def duplicate(this: Prepared) -> None:
    this.sequences["again"] = this.sequences["p7"]


def move(this: Prepared) -> None:
    this.path = "elsewhere/q.fasta"


def metadata(this: Prepared) -> None:
    this.workflow.write("m.tsv", "id\tfamily\n" + "".join(f"{name}\tx\n" for name in this.sequences))
    this.columns = {"metadata": "m.tsv", "label_column": "family"}


def another_model(this: Prepared) -> None:
    this.workflow.config["model"] = {"llm_version": "lucaone,mini"}


def other_layer(this: Prepared) -> None:
    this.workflow.config["embedding"] = {"layer": 1}


def without_effect(this: Prepared) -> None:
    this.workflow.config["embedding"] = {"trunc_type": "left"}


def tokens_per_batch(this: Prepared) -> None:
    this.workflow.config["compute"] = {**this.workflow.config["compute"], "tokens_per_batch": 512}


def larger_shards(this: Prepared) -> None:
    this.workflow.config["compute"] = {**this.workflow.config["compute"], "shard_tokens": 100_000_000}


def refetch(this: Prepared) -> None:
    for path in this.checkpoint.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)


def other_checkpoint(this: Prepared) -> None:
    weights = next(this.checkpoint.rglob("pytorch.pth"))
    state = torch.load(weights, weights_only=True)
    state["last_layer_norm.bias"] += 1
    torch.save(state, weights)


def other_version(this: Prepared) -> None:
    this.clone_with("scripts/lucaflow/__init__.py", '__version__ = "', '__version__ = "9')


def other_algorithm(this: Prepared) -> None:
    this.clone_with("scripts/lucaflow/versions.py", "EMBEDDING_VERSION = ", "EMBEDDING_VERSION = 9")


CHANGES: dict[str, Callable[[Prepared], None]] = {
    "nothing": nothing,
    "the input and the table of datasets are touched": touch,
    "a record is added": add,
    "a record is removed": remove,
    "a record's sequence is edited": edit,
    "a record is renamed": rename,
    "the records are put into another order": reorder,
    "a sequence is there once more, under another id": duplicate,
    "the input is moved to another path": move,
    "metadata is named, with labels": metadata,
    "another model beside the first": another_model,
    "an option that changes values (`embedding.layer`)": other_layer,
    "an option without effect here (`embedding.trunc_type`)": without_effect,
    "`compute.tokens_per_batch`": tokens_per_batch,
    "`compute.shard_tokens`, so that one shard holds all": larger_shards,
    "the checkpoint's files are written again, unchanged": refetch,
    "the checkpoint's weights": other_checkpoint,
    "LucaFlow's version": other_version,
    "LucaFlow's algorithm version": other_algorithm,
}


FORGOTTEN = ("the input and the table of datasets are touched", "a record's sequence is edited")


def documented() -> dict[str, Counter[str]]:
    """Return the jobs that the documentation names for each change; `all` shards are -1."""
    rows = re.findall(r"^\| (.+?) \| (.*?) \|$", (ROOT / "docs/changes.md").read_text(), re.MULTILINE)
    jobs = {}
    for change, said in rows[1:]:
        found = re.findall(r"([a-z_]+)(?: of (\w+))?", said.replace(" shards", "").replace(" shard", ""))
        jobs[change] = Counter(
            {rule: -1 if count == "all" else int(count or 1) for rule, count in found if said != "none"}
        )
    return jobs


def proteins(count: int) -> dict[str, str]:
    draw = random.Random(count)
    return {f"p{i}": "M" + "".join(draw.choices("DEFGHIKLMNPQRSVW", k=draw.randint(5, 14))) for i in range(count)}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """Return what embeds a number of sequences once, and the number of its shards."""
    made: dict[int, tuple[Prepared, int]] = {}

    def prepared(count: int) -> tuple[Prepared, int]:
        if count not in made:
            workflow = Workflow(tmp_path_factory.mktemp(f"of-{count}") / "work", Path())
            this = Prepared(workflow, proteins(count))
            shutil.copytree(PACKAGED / "embedding/checkpoints/T1", this.checkpoint)
            workflow.config |= {
                "checkpoints": {"source": "local", "path": "lucaone", "directory": "converted"},
                "model": {"llm_version": "lucaone"},
                "compute": {"device": "cpu", "shard_tokens": 3 * count},
            }
            this.write()
            made[count] = this, workflow.run().succeeded().jobs["embed"]
        return made[count]

    return prepared


def check(prepared: Prepared, shards: int, change: str, forget: bool) -> None:
    this = prepared.restored()
    CHANGES[change](this)
    if [*this.sequences.items(), this.path, this.columns] != [*prepared.sequences.items(), prepared.path, {}]:
        this.write()
    if forget:
        this.workflow.forget()
    jobs = this.workflow.run().succeeded().jobs
    expected = Counter({rule: shards if count == -1 else count for rule, count in documented()[change].items()})
    assert jobs == expected
    assert "Nothing to be done" in this.workflow.run("--dry-run").succeeded().output
    if jobs:
        this.workflow.run("verify").succeeded()


def test_the_table_has_every_change():
    assert list(documented()) == list(CHANGES)


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES)
def test_every_one_of_them(embedded, change):
    check(*embedded(40), change, forget=False)


@pytest.mark.long
@pytest.mark.parametrize("change", FORGOTTEN)
def test_the_same_without_what_snakemake_remembers(embedded, change):
    check(*embedded(40), change, forget=True)


@pytest.mark.long
def test_a_hundred_thousand_sequences(embedded):
    check(*embedded(100_000), "a record's sequence is edited", forget=False)
