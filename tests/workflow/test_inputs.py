"""Inputs through the whole workflow: pairs, and a dataset that the disk cannot hold."""

from __future__ import annotations

import json

import pandas as pd
from golden_cases import PACKAGED

PAIRS = "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b\n"


def test_pairs_are_normalised_and_accounted_for(workflow):
    """Both sides of each pair are in records.tsv; nothing is embedded, since no prediction asks for it."""
    workflow.write("pairs.csv", f"{PAIRS}g1,p1,gene,prot,acgu,MKV*\ng1,p2,gene,prot,ACGT,MKW\n")
    workflow.fasta("p.fasta", {"a": "MKVLAW", "b": "MKVLAW", "c": "mkv"})
    workflow.datasets(
        {"dataset": "both", "path": "pairs.csv", "kind": "pair"},
        {"dataset": "p", "path": "p.fasta", "seq_type": "prot"},
    )
    run = workflow.run().succeeded()
    assert run.jobs["embed"] == 1
    assert "both: 4 records read, 4 accepted; 3 distinct sequences" in run.output
    assert "5 characters of 2 records changed" in run.output
    assert ": 2 of 2 sequences to compute, 0 kept from earlier runs; 9 residues in all, longest 6" in run.output
    records = pd.read_csv(workflow.directory / "results/both/records.tsv", sep="\t", dtype=str)
    assert records[["pair", "side", "id", "status"]].to_numpy().tolist() == [
        ["1", "a", "g1", "accepted"], ["1", "b", "p1", "accepted"],
        ["2", "a", "g1", "accepted"], ["2", "b", "p2", "accepted"],
    ]  # fmt: skip
    summary = pd.read_csv(workflow.directory / "results/summary.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert summary[["dataset", "records", "changed_records", "distinct_sequences", "model"]].to_numpy().tolist() == [
        ["both", "4", "2", "3", ""],
        ["p", "3", "1", "2", "mini-1"],
    ]


def test_what_the_disk_cannot_hold_is_refused_before_anything_is_embedded(workflow):
    workflow.fasta("long.fasta", {"a": "MKVL" * 500_000})
    workflow.fasta("p.fasta", {"a": "MKVLAW"})
    workflow.datasets(
        {"dataset": "long", "path": "long.fasta", "seq_type": "prot"},
        {"dataset": "p", "path": "p.fasta", "seq_type": "prot"},
    )
    workflow.config |= {
        "checkpoints": {
            "directory": "converted",
            "source": "local",
            "path": {"ours": str(PACKAGED / "encoders/checkpoints/E1")},
        },
        "model": {"llm_version": "ours"},
        "embedding": {"outputs": ["contacts"], "contacts_max_length": 2_000_000},
    }
    run = workflow.run("embeddings", "--keep-going")
    run.failed("the embeddings need 16.0 TB more", "Make room, run in another directory (--directory)")
    assert run.jobs["embed"] == 1
    assert not list((workflow.directory / "results/long").rglob("*.h5"))
    assert json.loads(workflow.result("p", "preflight.json", "ours").read_text())["longest"] == 6
