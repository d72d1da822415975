"""Bad input: one message that says what, where and what to do; nothing half-written; the others still finish."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from golden_cases import PACKAGED
from safetensors.torch import save_file

from lucaflow.report.terminal import HIDDEN_LINES

GOOD = {"a": "MKVLAWRRKLAWMKVLAWRRK", "b": "MWWWKKLLR"}


@pytest.fixture
def protein(workflow):
    workflow.fasta("p.fasta", GOOD)
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    return workflow


def test_broken_datasets_are_refused_and_the_others_finish(workflow):
    workflow.fasta("good.fasta", GOOD)
    workflow.fasta("dna.fasta", {"x": "ACGTACGTACGTACGTACGTACGTACGT", "y": "MKVLAW"})
    workflow.write("twice.fasta", ">one\nMKVLAW\n>two\nMWWW\n>one\nMKVL\n")
    workflow.write("empty.fasta", "")
    workflow.write("gaps.fasta", ">one\nMKVLAW\n>two\nMWW\nWW-W9\n" + ">x\nM1\n" * 20)
    workflow.write("columns.csv", "name,seq\na,MKVLAW\n")
    workflow.write("quotes.csv", 'id,seq,note\na,MKVLAW,fine\nb,MWWW,"5 inch\nc,MKL,lost\n')
    workflow.write("headless.csv", "a,MKVLAWRRKLAWMKVLAWRRKLAW\nb,MWWW\n")
    (workflow.directory / "folder").mkdir()
    rows = {
        "good": "good.fasta",
        "missing": "nowhere/p.fasta",
        "dna": "dna.fasta",
        "twice": "twice.fasta",
        "empty": "empty.fasta",
        "gaps": "gaps.fasta",
        "quotes": "quotes.csv",
        "headless": "headless.csv",
        "folder": "folder",
    }
    workflow.datasets(
        *({"dataset": name, "path": path, "seq_type": "prot"} for name, path in rows.items()),
        {"dataset": "columns", "path": "columns.csv", "seq_type": "prot", "id_column": "identifier"},
    )
    run = workflow.run("--keep-going").failed(
        "nowhere/p.fasta: there is no such file",
        "dna.fasta: 1 of 2 records cannot be used",
        "line 1, id 'x': 'ACGTACGTACGTACGTACGT'... looks like a nucleotide sequence, "
        "but the dataset's seq_type is prot",
        "line 5, id 'one': the same id is on line 1 with another sequence",
        "empty.fasta: the file holds no records",
        "'-' at column 3 of line 2 below the header",
        "and 11 more",
        "quotes.csv, line 3: the row that starts here cannot be read",
        "headless.csv, line 1: 'a,MKVLAWRRKLAWMKVLAWRRKLAW' looks like a record",
        "folder: cannot be read",
        "no column 'identifier' for the ids. The file has: name, seq.",
    )
    assert run.output.count("Traceback") == 0
    planned, summed_up = run.output.split("\nFailed, and why:\n")
    warning = "dataset missing: nowhere/p.fasta: there is no such file."
    assert planned.index(warning) < planned.index("Building DAG of jobs")
    assert not HIDDEN_LINES & set(planned.splitlines())
    assert "  logs/normalize/missing.log\n    InputError: dataset missing: nowhere/p.fasta: there is no" in summed_up
    assert summed_up.count("InputError") == len(rows)
    assert workflow.result("good", "verified.json").is_file()
    for name in (*rows, "columns"):
        if name != "good":
            assert not list((workflow.directory / "results" / name).glob("records.tsv")), name
    problems = (workflow.directory / "results/gaps/problems.tsv").read_text().splitlines()
    assert len(problems) == 22
    workflow.write("gaps.fasta", ">one\nMKVLAW\n")
    workflow.run("results/gaps/records.tsv").succeeded()
    assert not (workflow.directory / "results/gaps/problems.tsv").exists()


def test_an_older_result_is_kept_and_said_to_be_there(protein):
    protein.run().succeeded()
    before = protein.result("p", "embeddings.h5").read_bytes()
    protein.fasta("p.fasta", {"a": "MKV-LAW"})
    protein.run().failed("An older result is still there: results/p/mini-1/embeddings.h5")
    assert protein.result("p", "embeddings.h5").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embeding": {}}, ["embeding: there is no such key; did you mean embedding?"]),
        ({"embedding": {"output": ["mean"]}}, ["embedding.output", "did you mean embedding.outputs?"]),
        ({"embedding": {"outputs": ["median"]}}, ["embedding.outputs.0: 'median' is not one of"]),
        ({"compute": {"shard_tokens": 0}}, ["compute.shard_tokens: 0 is less than the minimum of 1"]),
        (
            {"embedding": {"precision": "tfloat32"}},
            ["`tfloat32` needs a GPU, but compute.device is `cpu`; use `float32` or `bfloat16`"],
        ),
        ({"embedding": {"layer": 7}}, ["embedding.layer is 7, but this checkpoint has layers 0 to 6"]),
        ({"compute": {"device": "cuda"}}, ["compute.device is `cuda`, but torch finds no usable GPU"]),
        ({"model": {"llm_version": "lucaone-prot"}}, ["no lucaone-prot with 30000000 steps from `huggingface`"]),
        ({"datasets": "nowhere.tsv"}, ["nowhere.tsv: there is no such table of datasets"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_configuration(protein, change, words):
    if torch.cuda.is_available() and ("compute" in change or "precision" in str(change)):
        pytest.skip("there is a GPU")
    for key, value in change.items():
        protein.config[key] = {**protein.config.get(key, {}), **value} if isinstance(value, dict) else value
    run = protein.run().failed(*words)
    assert "Traceback" not in run.output
    assert not list(protein.directory.glob("results/p/mini-1/*.h5"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"dataset": "../p"}, "line 2: dataset: '../p' does not match"),
        ({"path": "{a}.fasta"}, "line 2: path: '{a}.fasta' contains a brace"),
        ({"seq_type": "dna"}, "line 2: seq_type: 'dna' is not one of ['gene', 'prot']"),
        ({"seq_type": ""}, "line 2: seq_type: expected `gene` (DNA, RNA) or `prot`, found nothing"),
        ({"seqtype": "prot"}, "line 2: seqtype: there is no such key; did you mean seq_type?"),
        ({"seq_type": "gene", "llm_version": "lucaone-prot"}, "lucaone-prot reads only prot sequences"),
        ({"llm_step": "5"}, "`mini` exists only with step 1"),
    ],
)
def test_a_wrong_table_of_datasets(protein, row, words):
    protein.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot", **row})
    protein.run("--dry-run").failed("datasets.tsv", words)
    protein.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"}, {"dataset": "P", "path": "p.fasta"})
    protein.run("--dry-run").failed("line 3: dataset: 'P' is in the table twice")


def take_golden(workflow, name, version, step):
    """Use a copy of a recorded checkpoint; return its folder."""
    copy = workflow.directory / "lucaone"
    shutil.copytree(PACKAGED / "embedding/checkpoints" / name, copy)
    workflow.config["checkpoints"] = {"source": "local", "path": "lucaone", "directory": "converted"}
    workflow.config["model"] = {"llm_version": version, "llm_step": step}
    return copy / f"llm/models/lucaone/{version}/checkpoint-step{step}"


def break_shape(folder):
    state = torch.load(folder / "pytorch.pth", weights_only=True)
    state["layers.1.fc1.weight"] = state["layers.1.fc1.weight"][:5]
    del state["layers.0.fc2.bias"]
    torch.save(state, folder / "pytorch.pth")


def break_number(folder):
    state = torch.load(folder / "pytorch.pth", weights_only=True)
    state["embed_tokens.weight"][3, 3] = float("nan")
    torch.save(state, folder / "pytorch.pth")


def cut_short(folder):
    content = (folder / "pytorch.pth").read_bytes()
    (folder / "pytorch.pth").write_bytes(content[: len(content) // 3])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "pytorch.pth").unlink(), ["no pytorch.pth in", "It holds: config.json"]),
        (shutil.rmtree, ["no folder", "checkpoint-step36000000"]),
        (break_shape, ["layers.1.fc1.weight has shape (5, 32), expected (128, 32)", "layers.0.fc2.bias is missing"]),
        (break_number, ["not finite: embed_tokens.weight"]),
        (cut_short, ["pytorch.pth is damaged"]),
        (lambda folder: (folder / "config.json").write_text("{"), ["config.json does not describe a LucaOne model"]),
    ],
    ids=["no weights", "no folder", "wrong shapes", "not finite", "cut short", "broken config"],
)
def test_a_broken_checkpoint(protein, damage, words):
    damage(take_golden(protein, "T1", "lucaone", 36000000))
    run = protein.run().failed(*words)
    assert "Traceback" not in run.output
    assert not list(protein.directory.glob("converted/*/model.safetensors"))
    assert not list(protein.directory.glob("results/p/lucaone-36000000"))


class Hostile:
    def __reduce__(self):
        return (open, ("executed", "w"))


def test_a_hostile_pickle_is_refused_and_does_nothing(protein):
    folder = take_golden(protein, "T1", "lucaone", 36000000)
    torch.save({"embed_tokens.weight": Hostile()}, folder / "pytorch.pth")
    protein.run().failed("holds more than plain tensors; no code in it was run")
    assert not (protein.directory / "executed").exists()


def test_a_hugging_face_directory_needs_a_step_and_holds_one_model(protein):
    folder = protein.directory / "hub"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({}))
    save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    protein.config["checkpoints"] = {"source": "local", "path": "hub"}
    protein.config["model"] = {"llm_version": "lucaone"}
    protein.run("--dry-run").failed("model.llm_step: must be given, since hub is a Hugging Face directory")
    protein.datasets(
        {"dataset": "p", "path": "p.fasta", "seq_type": "prot", "llm_step": "36000000"},
        {"dataset": "q", "path": "p.fasta", "seq_type": "prot", "llm_version": "lucaone-prot", "llm_step": "38200000"},
    )
    protein.run("--dry-run").failed("hub holds one model, but the datasets need lucaone-36000000, lucaone-prot-382")
