"""Receipts decide what runs, when a run is planned: nothing is written for it, and no job is needed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

NOTHING = "Nothing to be done"
OTHER_LAYER = {"layer": 2}


@pytest.fixture
def done(workflow):
    """A finished run of three sequences, of which a FASTA file has five records."""
    workflow.fasta("p.fasta", {"a": "MKVLAW", "b": "MWWWKK", "c": "MKLLLA", "again": "MKVLAW", "third": "MKLLLA"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.shared_run()
    return workflow


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the SHA-256 and the modification time of each result."""
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_dry_run_shows_what_is_forced_and_writes_nothing(done):
    before = state(done.directory / "results")
    done.config["embedding"] = OTHER_LAYER
    said = done.run("--dry-run").succeeded().output
    assert re.search(r"forced:\n +assemble", said)
    assert "p with mini-1: 3 of 3 sequences to compute, 0 kept" in said
    assert state(done.directory / "results") == before


def test_a_named_target_is_current_only_with_its_settings(done):
    target = "results/p/mini-1/embeddings.h5"
    assert NOTHING in done.run(target).succeeded().output
    done.config["embedding"] = OTHER_LAYER
    assert done.run(target, "--rerun-triggers", "mtime").succeeded().jobs == {"embed": 1, "assemble": 1}
    assert NOTHING in done.run(target, "--rerun-triggers", "mtime").succeeded().output
    # embeddings.h5 is for other settings, whose shards exist.
    del done.config["embedding"]
    done.forget()
    assert done.run(target).succeeded().jobs == {"assemble": 1}


def test_without_receipts_each_step_runs_again_but_nothing_is_embedded(done):
    shutil.rmtree(done.directory / "results/p/receipts")
    assert done.run().succeeded().jobs == {"normalize": 1, "assemble": 1, "draw": 1, "summarise": 1}
    assert NOTHING in done.run().succeeded().output


def test_a_deleted_result_that_no_step_reads_is_made_again(done):
    (done.directory / "results/p/mini-1/figures/map.html").unlink()
    shutil.rmtree(done.directory / "results/p/sequences/shards")
    assert done.run().succeeded().jobs == {"normalize": 1, "draw": 1, "summarise": 1}


def test_the_table_of_records_is_written_where_it_changed(done):
    """No rule has it as an output, so that a run of many datasets writes the table of one."""
    done.datasets(*({"dataset": name, "path": "p.fasta", "seq_type": "prot"} for name in "pq"))
    done.run().succeeded()
    table, other = (done.directory / f"results/{name}/overview.tsv" for name in "pq")
    before = table.read_bytes(), other.stat().st_mtime_ns
    table.unlink()
    assert done.run().succeeded().jobs == {"summarise": 1}
    assert (table.read_bytes(), other.stat().st_mtime_ns) == before
    assert NOTHING in done.run().succeeded().output


def test_a_step_refuses_a_result_that_is_not_what_was_written(done):
    records = done.directory / "results/p/records.tsv"
    records.write_text(records.read_text().replace("third", "other"))
    done.result("p", "figures/map.png").unlink()
    done.run().failed("results/p/records.tsv: its content has changed. Run `snakemake verify`")
    done.run("verify").failed("results/p/records.tsv: its content has changed")
    done.run().succeeded()
    assert "third" in records.read_text()


def test_targets_that_end_early(workflow):
    workflow.fasta("p.fasta", {"a": "MKVLAW", "b": "MWWWKK"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    estimated = workflow.run("estimate").succeeded()
    assert set(estimated.jobs) <= {"normalize", "convert_checkpoint", "estimate"}
    assert "2 of 2 sequences to compute, 0 kept" in estimated.output
    run = workflow.run("embeddings").succeeded()
    assert run.jobs == {"embed": 1, "assemble": 1, "embeddings": 1}
    assert workflow.result("p", "verified.json").is_file()
    assert not workflow.result("p", "figures").exists()


def test_a_small_change_is_told_from_what_exists(done):
    """The estimate, the summary and its page say what was computed and what was kept, and keep the cost of both."""
    first = pd.read_csv(done.directory / "results/summary.tsv", sep="\t").iloc[0]
    assert (first["computed_sequences"], first["kept_sequences"]) == (3, 0)
    done.fasta("p.fasta", {"a": "MKVLAW", "b": "MWWWKK", "c": "MKLLLA", "new": "MKLLLAKK"})
    run = done.run().succeeded()
    assert "1 of 4 sequences to compute, 3 kept" in run.output
    assert json.loads(done.result("p", "preflight.json").read_text())["to_compute"] == 1
    second = pd.read_csv(done.directory / "results/summary.tsv", sep="\t").iloc[0]
    assert (second["computed_sequences"], second["kept_sequences"]) == (1, 3)
    assert second["seconds"] > first["seconds"]
    assert "kept sequences" in (done.directory / "results/summary.html").read_text()
    assert re.search(r"computed +kept", run.output)


def test_a_run_that_ends_without_all_results_says_so(done):
    """--touch makes Snakemake take older results for the new ones."""
    done.config["embedding"] = {"outputs": ["max"]}
    done.run("--touch").failed("Not all results are there", "assemble-mini-1 of p")
