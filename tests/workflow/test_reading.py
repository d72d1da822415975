"""docs/reading.md and docs/notebooks.md, run beside the results of the README's example."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from workflow_runs import ROOT, Workflow, copy_clone

import lucaflow
from lucaflow import embed, load_encoder, open_embeddings
from lucaflow.errors import ConfigError, InputError

RECORDS = {"P12345": "MKVLAWRRKLAW", "sp|P2|X": "MWWKKLLA"}
PAGE, NOTEBOOKS = ROOT / "docs/reading.md", ROOT / "docs/notebooks.md"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shared_checkpoints):
    """Results of the README's example, with what the page reads."""
    workflow = Workflow(tmp_path_factory.mktemp("reading"), shared_checkpoints)
    workflow.fasta("p.fasta", RECORDS)
    workflow.datasets({"dataset": "my_proteins", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= {
        "checkpoints": {"directory": "resources/checkpoints"},
        "embedding": {"outputs": ["mean", "matrix"]},
        "export": ["parquet", "anndata", "csv"],
    }
    workflow.run().succeeded()
    return workflow


def test_the_pages_about_python(finished, monkeypatch):
    """And what is embedded in memory is what the workflow stores."""
    monkeypatch.chdir(finished.directory)
    for page, examples in ((PAGE, 12), (NOTEBOOKS, 9)):
        tried = doctest.testfile(str(page), module_relative=False, verbose=False)
        assert (tried.failed, tried.attempted > examples) == (0, True), page.name

    (folder,) = finished.directory.glob("resources/checkpoints/mini-1-*")
    found = embed(load_encoder(str(folder)), {**RECORDS, "again": "mwwkklla*"}, "prot", ["matrix", "mean"])
    with open_embeddings(finished.result("my_proteins", "embeddings.h5")) as stored:
        for identifier in RECORDS:
            for output in ("matrix", "mean"):
                assert np.allclose(found[identifier][output], stored.read(output, identifier), rtol=0, atol=1e-5)
    assert np.array_equal(found["again"]["matrix"], found["sp|P2|X"]["matrix"])


def test_the_page_names_the_contents_of_the_file(finished):
    named = set(
        re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8").split("| in `embeddings.h5`")[1].split("\n\n")[0])
    )
    with h5py.File(finished.result("my_proteins", "embeddings.h5")) as file:
        assert set(file) <= named
        assert {"llm_version", "llm_step", "options", "format_version", "fingerprint"} <= named & set(file.attrs)


def test_the_examples_of_the_library(finished, monkeypatch):
    """In docstrings, which find the results of the README's example where they run."""
    monkeypatch.chdir(finished.directory)
    tried = 0
    for found in pkgutil.walk_packages(lucaflow.__path__, "lucaflow."):
        if found.name == "lucaflow.quick_start":
            continue  # has no example, and would switch off Python's search for cycles in this process
        module = importlib.import_module(found.name)
        more = {"load_encoder": load_encoder} if found.name.endswith(".notebook") else {}
        failed, attempted = doctest.testmod(module, extraglobs=more)
        assert not failed, found.name
        tried += attempted
    assert tried > 15


@pytest.mark.long
def test_the_library_alone_reads(finished, tmp_path):
    """In an environment that holds what it needs for that, and nothing that embeds."""
    copy_clone(tmp_path / "LucaFlow")
    (command,) = re.findall(r"^python3 (-m pip install) /path/to/LucaFlow$", PAGE.read_text(encoding="utf-8"), re.M)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "apart"], check=True)
    python = tmp_path / "apart/bin/python"
    subprocess.run([python, *command.split(), "--quiet", "--no-compile", tmp_path / "LucaFlow"], check=True)
    read = """
from lucaflow import open_embeddings
with open_embeddings("results/my_proteins/mini-1/embeddings.h5") as embeddings:
    print(embeddings["P12345"]["matrix"].shape, list(embeddings.to_frame("mean").index))
from lucaflow import embed
"""
    done = subprocess.run([python, "-c", read], cwd=finished.directory, capture_output=True, text=True, check=False)
    assert done.stdout == f"(12, 128) {list(RECORDS)}\n"
    assert done.stderr.splitlines()[-1].startswith("ImportError: lucaflow.embed needs torch, which is not installed; ")


def r_reads_hdf5() -> bool:
    found = shutil.which("Rscript")
    return (
        bool(found) and not subprocess.run([found, "-e", "library(hdf5r)"], capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not r_reads_hdf5(), reason="not installed: R with hdf5r")
def test_the_page_from_r(finished):
    (script,) = re.findall(r"^```r\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    script += 'cat(sprintf("%.9g", c(vectors["sp|P2|X", 3], matrix[7, 100])), sep = "\\n")\n'
    done = subprocess.run(["Rscript", "-e", script], cwd=finished.directory, capture_output=True, text=True, check=True)
    *shapes, vector, matrix = done.stdout.splitlines()
    assert [shape.split()[1:] for shape in shapes] == [["2", "128"], ["12", "128"]]
    with open_embeddings(finished.result("my_proteins", "embeddings.h5")) as stored:
        assert float(vector) == pytest.approx(stored.read("mean", "sp|P2|X")[2], rel=1e-6)
        assert float(matrix) == pytest.approx(stored.read("matrix", "P12345")[6, 99], rel=1e-6)


def test_sequences_without_ids(golden_checkpoints):
    encoder = golden_checkpoints["T1"].encoder
    by_id = embed(encoder, {"a": "MKVLAW", 7: "MWW"}, "prot")
    assert list(by_id) == list(embed(encoder, [("a", "MKVLAW"), (7, "MWW")], "prot")) == ["a", 7]
    in_order = embed(encoder, ["MKVLAW", "MWW", "MKVLAW"], "prot")
    for found, identifier in zip(in_order, ["a", 7, "a"], strict=True):
        assert np.array_equal(found, by_id[identifier])
    assert np.array_equal(embed(encoder, "MWW", "prot", ["mean"])["mean"], embed(encoder, {"a": "MWW"}, "prot")["a"])
    assert embed(encoder, {}, "prot") == {}
    with pytest.raises(ConfigError, match=r"encoder: expected what load_encoder returns.* not str"):
        embed("mini", "MWW", "prot")


@pytest.mark.parametrize(
    ("sequences", "seq_type", "outputs", "error", "said"),
    [
        ({"a": "AC1"}, "gene", "mean", InputError, "sequence 1, id 'a': '1' at position 3 is not a residue"),
        ({"a": "**"}, "prot", "mean", InputError, "id 'a': no residue"),
        ({"a": "ACGT" * 7}, "prot", "mean", InputError, "looks like a nucleotide sequence"),
        ({"a\tb": "MKV"}, "prot", "mean", InputError, "control character"),
        ({"a": "ACG"}, "peptides", "mean", ConfigError, "seq_type: expected `gene`"),
        ({"a": "ACG"}, "gene", "contacts", ConfigError, "outputs: expected some of matrix"),
        ([("a", "MKV"), ("a", "MWW")], "prot", "mean", InputError, "id 'a' is there 2 times"),
        ({"a": 5}, "prot", "mean", InputError, "sequence 1, id 'a': expected residues, a string, not 5"),
        (["MKV", "M-V"], "prot", "mean", InputError, "sequence 2: '-' at position 2"),
        ([1], "prot", "mean", ConfigError, r"sequences: expected residues .*, not list with 1"),
        (5, "prot", "mean", ConfigError, r"a list of pairs \(id, residues\), not int"),
    ],
)
def test_what_a_notebook_refuses(golden_checkpoints, sequences, seq_type, outputs, error, said):
    with pytest.raises(error, match=said):
        embed(golden_checkpoints["T1"].encoder, sequences, seq_type, outputs)
