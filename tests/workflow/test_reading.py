"""docs/reading.md, run as it stands beside results of the README's example."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from workflow_runs import ROOT

from lucaflow import embed, load_encoder, open_embeddings
from lucaflow.errors import ConfigError, InputError

RECORDS = {"P12345": "MKVLAWRRKLAW", "sp|P2|X": "MWWKKLLA"}


def test_the_page_about_reading(workflow, monkeypatch):
    """And what is embedded in memory is what the workflow stores."""
    workflow.fasta("p.fasta", RECORDS)
    workflow.datasets({"dataset": "my_proteins", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= {
        "checkpoints": {"directory": "resources/checkpoints"},
        "embedding": {"outputs": ["mean", "matrix"]},
        "export": ["parquet", "anndata"],
    }
    workflow.run().succeeded()
    monkeypatch.chdir(workflow.directory)
    tried = doctest.testfile(str(ROOT / "docs/reading.md"), module_relative=False, verbose=False)
    assert (tried.failed, tried.attempted > 12) == (0, True)

    (folder,) = workflow.directory.glob("resources/checkpoints/mini-1-*")
    found = embed(load_encoder(str(folder)), {**RECORDS, "again": "mwwkklla*"}, "prot", ["matrix", "mean"])
    with open_embeddings(workflow.result("my_proteins", "embeddings.h5")) as stored:
        for identifier in RECORDS:
            for output in ("matrix", "mean"):
                assert np.allclose(found[identifier][output], stored.read(output, identifier), rtol=0, atol=1e-5)
    assert np.array_equal(found["again"]["matrix"], found["sp|P2|X"]["matrix"])


@pytest.mark.parametrize(
    ("sequences", "seq_type", "outputs", "error", "said"),
    [
        ({"a": "AC1"}, "gene", "mean", InputError, "sequence 1, id 'a': '1' at position 3 is no residue"),
        ({"a": "**"}, "prot", "mean", InputError, "id 'a': no residue"),
        ({"a": "ACGT" * 7}, "prot", "mean", InputError, "looks like a nucleotide sequence"),
        ({"a\tb": "MKV"}, "prot", "mean", InputError, "control character"),
        ({"a": "ACG"}, "dna", "mean", ConfigError, "seq_type: expected `gene`"),
        ({"a": "ACG"}, "gene", "contacts", ConfigError, "outputs: expected some of matrix"),
    ],
)
def test_what_a_notebook_refuses(golden_checkpoints, sequences, seq_type, outputs, error, said):
    with pytest.raises(error, match=said):
        embed(golden_checkpoints["T1"].encoder, sequences, seq_type, outputs)
