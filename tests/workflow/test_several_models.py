"""A dataset that several models embed: one of LucaFlow's, one of one's own, side by side."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml
from golden_cases import PACKAGED

from lucaflow import open_embeddings

OWN = PACKAGED / "embedding/checkpoints/T1"
DNABERT = PACKAGED / "encoders/checkpoints/D1"
PROTEINS = {"a": "MKVLAW", "b": "MFLWRKSANGIACNVWHDFVWFSYQATQ"}


def test_two_models_of_one_dataset_and_one_of_them_again(workflow):
    """Results are side by side; another model more changes nothing of the first."""
    workflow.fasta("p.fasta", PROTEINS)
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot", "tasks": "MiniProtLoc"})
    workflow.config["checkpoints"]["path"] = {"ours": str(OWN)}
    workflow.config["embedding"] = {"outputs": ["mean", "matrix"]}
    workflow.config["model"] = {"llm_version": "ours,mini"}
    run = workflow.run().succeeded()
    assert (run.jobs["embed"], run.jobs["assemble"], run.jobs["draw"], run.jobs["normalize"]) == (2, 2, 2, 1)
    assert run.jobs["embed_for_heads"] == 0, "the task reads the matrices of the second model"
    folder = workflow.directory / "results/p"
    assert (folder / "ours/preflight.json").is_file()
    assert (folder / "mini-1/preflight.json").is_file()
    with (
        open_embeddings(folder / "ours/embeddings.h5") as ours,
        open_embeddings(folder / "mini-1/embeddings.h5") as mini,
    ):
        assert ours["a"]["mean"].shape != mini["a"]["mean"].shape
        assert ours.attrs["llm_version"] == "ours"
        assert "llm_step" not in ours.attrs
    summary = pd.read_csv(folder.with_name("summary.tsv"), sep="\t")
    assert summary[["dataset", "model", "records"]].to_numpy().tolist() == [["p", "ours", 2], ["p", "mini-1", 2]]
    overview = pd.read_csv(folder / "overview.tsv", sep="\t").set_index("id")
    assert overview.loc["a", ["outcome", "length"]].tolist() == ["accepted", 6]
    assert overview[["ours nearest_neighbour", "mini-1 nearest_neighbour"]].to_numpy().tolist() == [
        ["b"] * 2,
        ["a"] * 2,
    ]
    assert overview[["MiniProtLoc", "MiniProtLoc probability"]].notna().all(axis=None)
    recorded = yaml.safe_load((folder / "run.yaml").read_text())
    assert [*recorded["checkpoint"]] == ["ours", "mini-1"]
    workflow.run("--", "verify").succeeded()
    workflow.config |= {"model": {"llm_version": "mini"}, "embedding": {"outputs": ["mean", "matrix"]}}
    run = workflow.run().succeeded()
    assert set(run.jobs) <= {"normalize", "plan_heads", "predict", "summarise"}
    assert (folder / "ours/embeddings.h5").is_file()


@pytest.mark.parametrize(
    ("model", "path", "said"),
    [
        ({"llm_version": "mini,ours"}, None, "llm_version: 'ours' is not a model"),
        ({"llm_version": "ours,mini", "llm_step": 1}, {"ours": str(OWN)}, "llm_step beside several models"),
        ({"llm_version": "lucaone"}, {"lucaone": str(next(OWN.rglob("checkpoint-*")))}, "does not say which step"),
        ({"llm_version": "lucaone-gene,mini"}, {"lucaone-gene": str(OWN)}, "lucaone-gene reads only gene sequences"),
        ({"llm_version": "mini,ours"}, {"ours": str(DNABERT)}, "dataset p: ours reads only gene sequences, not prot"),
    ],
)
def test_models_that_cannot_be_had_are_refused_before_anything_runs(workflow, model, path, said):
    workflow.fasta("p.fasta", PROTEINS)
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config["model"] = model
    workflow.config["checkpoints"]["path"] = path
    assert "Traceback" not in workflow.run("--dry-run").failed(said).output
