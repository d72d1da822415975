"""What a downstream model was trained on."""

import numpy as np
from workflow_runs import ROOT

from lucaflow.downstream.models import resolve_heads
from lucaflow.downstream.registry import read_tasks
from lucaflow.downstream.scope import Scope, scope_of
from lucaflow.schemas import read_yaml

TASKS = read_tasks(ROOT / "resources/tasks.tsv", read_yaml(ROOT / "config/schemas/tasks.schema.yaml"))


def test_sequences_that_are_longer_than_those_of_training_are_counted_by_side():
    scope = scope_of({"scope": "pairs", "organisms": "yeast", "lengths": "10,5", "classes": "0=no,1=yes"})
    assert scope.classes == {"0": "no", "1": "yes"}
    found = scope.warnings("T", ("gene", "prot"), np.array([[10, 6], [11, 5], [12, 5]]))
    assert found == [
        "2 of 3 sequences (gene) are longer than the 10 nucleotides that T was trained on",
        "1 of 3 sequences (prot) is longer than the 5 residues that T was trained on",
    ]
    assert scope.warnings("T", ("gene", "prot"), np.empty((0, 2))) == []
    assert Scope().warnings("T", ("gene",), np.array([[10**6]])) == []


def test_every_published_task_says_what_it_was_trained_on():
    for (name, _), published in TASKS.items():
        sentence = published.scope.sentence(name, published.task.seq_types)
        assert sentence.startswith(f"{name} was trained on ") and "organisms: " in sentence
        assert len(published.scope.lengths) in (0, len(published.task.seq_types))
        page = (ROOT / "docs/predictions.md").read_text(encoding="utf-8")
        assert f"| {published.scope.sequences} | {published.scope.organisms} |" in page, name
    assert "prokaryotes" in TASKS["ProtLoc", "server"].scope.organisms


def test_a_model_of_ones_own_has_not_the_scope_of_a_published_one(tmp_path):
    """Only the same training, by its time and step, is the same model."""
    task = TASKS["ProtLoc", "server"].task
    for step in (task.step, "7"):
        path = tmp_path / step / "models" / task.folder / f"checkpoint-{step}/config.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        settings = {"source": "local", "path": str(tmp_path / step)}
        found = resolve_heads({"ProtLoc": "ProtLoc"}, settings, TASKS, tmp_path, ROOT)["ProtLoc"].scope
        assert (found == Scope()) == (step == "7")
    assert Scope().sentence("T", ("prot",)) == "The training data of T are not stated."
