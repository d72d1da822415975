"""Scores of a language model through whole runs: the files, what a change costs, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from golden_cases import PACKAGED, golden_folder
from PIL import Image
from workflow_runs import Workflow

GOLDEN = golden_folder("language_model")
PROTEIN = "MKTAYIAKQRQISFVKSHFSRQ"
OTHER = "MVLSPADKTNVKAAWGKVGAHAGEYGAEALERMFLSFPTT"
# The file that the specification wants refused row by row.
BAD = (PACKAGED / "language_model/dms/bad.csv").read_text().splitlines()
METHODS = ["masked_marginals", "wt_marginals", "masked_marginals_joint", "mutant_marginals"]
ALL = {"outputs": ["likelihood", "residues", "scan"], "methods": METHODS}
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def prepare(workflow: Workflow, scores: dict, **sequences: str) -> None:
    """Write a dataset of proteins with the variants of `bad.csv` and one of two residues, without embeddings."""
    workflow.fasta("p.fasta", {"sp|P0|TEST_X": PROTEIN, "same": PROTEIN, "other": OTHER, **sequences})
    rows = [f"P0,{row}" for row in BAD[1:]] + ["P0,Q9E:R10K,2.0", "other,V2A,2.1", "nobody,V2A,2.2"]
    workflow.write("variants.csv", "\n".join([f"id,{BAD[0]}", *rows]) + "\n")
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot", "variants": "variants.csv"})
    workflow.config |= {"scores": scores, "embedding": {"outputs": []}}


def rows_of(workflow: Workflow, model: str = "mini-1") -> list[dict[str, str]]:
    with workflow.result("p", "scores/variants.csv", model).open(newline="") as lines:
        return [*csv.DictReader(lines)]


def passes_of(workflow: Workflow) -> int:
    """Return how many tokens went through the network so far, by what all files of passes say."""
    total = 0
    for path in workflow.directory.glob("results/*/*/scores/passes/*/*.sqlite"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            total += sum(tokens for (tokens,) in database.execute("SELECT tokens FROM computed"))
    return total


def contents(workflow: Workflow) -> dict[str, bytes]:
    """Return the files of scores, without those of passes."""
    folder = workflow.result("p", "scores")
    files = (path for path in folder.rglob("*") if path.is_file() and "passes" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name[0] != "."}


def test_every_score_of_a_dataset(workflow):
    prepare(workflow, ALL)
    run = workflow.shared_run()
    assert run.jobs["score_variants"] == 1 and run.jobs["embed"] == 0
    assert "p: scores by mini-1: " in run.output and "tokens to compute, about" in run.output
    assert "5 of 22 variants have scores" in run.output
    folder = workflow.result("p", "scores")
    likelihoods = pd.read_csv(folder / "sequences.tsv", sep="\t")
    assert likelihoods["id"].tolist() == ["sp|P0|TEST_X", "same", "other"]
    with h5py.File(folder / "residues.h5") as residues, h5py.File(folder / "scan.h5") as scans:
        masked, scan = residues["other"][:], scans["other"][:]
        symbols, letters = [*residues.attrs["symbols"]], [*scans.attrs["letters"]]
        assert np.array_equal(residues["same"], residues["sp|P0|TEST_X"])
        assert scans["same"].shape == (len(PROTEIN), 20)
        of_first = scans["same"][:]
    own = [symbols.index(letter) for letter in OTHER]
    log_likelihood = masked[np.arange(len(OTHER)), own].sum(dtype=float)
    assert likelihoods["pseudo_log_likelihood"][2] == pytest.approx(log_likelihood, rel=1e-6)
    assert likelihoods["pseudo_perplexity"][2] == pytest.approx(np.exp(-log_likelihood / len(OTHER)), rel=1e-6)
    assert scan[4, letters.index("W")] == pytest.approx(masked[4, symbols.index("W")] - masked[4, own[4]], rel=1e-5)
    assert scan[4, letters.index(OTHER[4])] == 0
    table = pd.read_csv(folder / "scan.tsv", sep="\t", keep_default_na=False)
    assert len(table) == 2 * len(PROTEIN) + len(OTHER) and [*table.columns[3:]] == [*AMINO_ACIDS]
    pictures = sorted((folder / "heatmaps").glob("*.png"))
    assert [path.name for path in pictures] == ["001_sp_P0_TEST_X.png", "002_same.png", "003_other.png"]
    with Image.open(pictures[2]) as picture:
        assert picture.size[0] > 1000
    check_variants(rows_of(workflow), of_first, letters)
    proven = yaml.safe_load((workflow.directory / "results/p/run.yaml").read_text())["language_model"]["mini-1"]
    assert (
        proven.startswith("The weights tell 4 known proteins")
        and proven in workflow.result("p", "run.html", "").read_text()
    )
    assert workflow.run("prove").succeeded().jobs["prove_checkpoint"] == 1
    assert "Nothing to be done" in workflow.run("prove").succeeded().output
    assert "too few positions" not in (folder / "variants.metrics.tsv").read_text()


def test_a_change_costs_the_passes_that_it_needs(workflow):
    prepare(workflow, ALL)
    workflow.shared_run()
    folder = workflow.result("p", "scores")
    assert "Nothing to be done" in workflow.run().succeeded().output
    before, done = contents(workflow), passes_of(workflow)

    text = (workflow.directory / "variants.csv").read_text()
    workflow.write("variants.csv", text + "P0,S17T,3\n")
    run = workflow.run().succeeded()
    assert {rule for rule in run.jobs if run.jobs[rule]} == {"score_variants", "summarise"}
    # The position was hidden for the scan already; only the mutated sequence is new.
    assert passes_of(workflow) - done == len(PROTEIN) + 2
    after = contents(workflow)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"variants.csv", "variants.html", "variants.metrics.tsv"}
    done = passes_of(workflow)

    workflow.fasta("p.fasta", {"sp|P0|TEST_X": PROTEIN, "same": PROTEIN, "other": OTHER, "new": "MKWLLAAA"})
    assert "  80 tokens to compute, about" in workflow.run().succeeded().output
    assert passes_of(workflow) - done == 8 * 10, "the passes of the new sequence alone"
    assert pd.read_csv(folder / "sequences.tsv", sep="\t")["id"].tolist()[-1] == "new"

    (folder / "heatmaps/003_other.png").write_bytes(b"changed")
    workflow.run("verify").failed("heatmaps.sha256: heatmaps/003_other.png has changed")
    assert passes_of(workflow) - done == 8 * 10
    workflow.run().succeeded()
    workflow.run("verify").succeeded()
    workflow.config["embedding"] = {"outputs": [], "precision": "bfloat16"}
    assert "/scores/passes/" in workflow.run("older").succeeded().output


def check_variants(rows: list[dict[str, str]], scan: np.ndarray, letters: list[str]) -> None:
    """Check that each row has its scores or a reason, and that single substitutions score as in the scan."""
    assert [row["DMS_score"] for row in rows][:19] == [row.split(",")[1] for row in BAD[1:]]
    by_mutant = {row["mutant"]: row for row in rows}
    for row in rows:
        assert all(bool(row[method]) != bool(row["reason"]) for method in METHODS), row
    assert [row["mutant"] for row in rows if not row["reason"]] == ["K2A", "WT", "_wt", "Q9E:R10K", "V2A"]
    assert {by_mutant[name][method] for name in ("WT", "_wt") for method in METHODS} == {"0"}
    assert float(by_mutant["K2A"]["masked_marginals"]) == pytest.approx(scan[1, letters.index("A")], rel=1e-5)
    assert by_mutant["K2A"]["masked_marginals"] == by_mutant["K2A"]["masked_marginals_joint"]
    added = scan[8, letters.index("E")] + scan[9, letters.index("K")]
    assert float(by_mutant["Q9E:R10K"]["masked_marginals"]) == pytest.approx(added, rel=1e-5)
    assert by_mutant["A2K"]["reason"] == "line 3: residue 2 is K, not A"
    assert rows[-1]["reason"] == "line 23: the dataset has no accepted record 'nobody'"


@pytest.mark.long
def test_killed_and_resumed_to_the_same_bytes(tmp_path, shared_checkpoints):
    """Also where the scores of a dataset are divided among several jobs."""
    undisturbed, killed = (Workflow(tmp_path / name, shared_checkpoints) for name in ("undisturbed", "killed"))
    long = (OTHER * 3)[:110]
    for workflow in (undisturbed, killed):
        workflow.directory.mkdir()
        prepare(workflow, {"outputs": ["likelihood", "residues", "contacts"], "methods": METHODS}, long=long)
        workflow.config["compute"] = {"device": "cpu", "shard_tokens": 170_000}
    run = undisturbed.run().succeeded()
    assert run.jobs["score_part"] == 2
    run = subprocess.Popen(
        killed.command(), cwd=killed.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    while passes_of_running(killed) == 0:
        assert run.poll() is None, "the run ended before it was killed"
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    killed.run("--unlock").succeeded()
    killed.run().succeeded()
    assert passes_of(killed) == passes_of(undisturbed), "nothing was computed twice"
    same, here = contents(undisturbed), contents(killed)
    assert {name for name in same if same[name] != here[name]} == set()


def passes_of_running(workflow: Workflow) -> int:
    """As `passes_of`, while a job may be writing or creating a file."""
    try:
        return passes_of(workflow)
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scores": {"outputs": ["contact"]}}, "scores.outputs.0: 'contact' is not one of"),
        ({"scores": {"method": ["wt"]}}, "scores.method: there is no such key; did you mean scores.methods?"),
        ({"scores": {"outputs": ["scan"]}, "model": {"llm_version": "dnabert2"}}, "has `likelihood` alone, by token"),
        ({"scores": {"outputs": ["scan"], "most_passes": 61}}, "need 62 passes"),
        ({"scores": {"outputs": ["contacts"]}, "embedding": {"outputs": [], "contacts_max_length": 30}}, "other"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_any_work(workflow, changes, said):
    seq_type = "gene" if "model" in changes else "prot"
    workflow.fasta("p.fasta", {"one": PROTEIN, "other": OTHER} if seq_type == "prot" else {"one": "ACGTACGTACGT"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": seq_type})
    workflow.config |= {"embedding": {"outputs": []}, **changes}
    run = workflow.run().failed(said)
    assert run.jobs["score"] == 0 and "Traceback" not in run.output


def test_a_checkpoint_without_a_head_is_refused_by_name(workflow):
    workflow.fasta("p.fasta", {"one": PROTEIN})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    place = PACKAGED / "language_model/checkpoints/L1-hf-seq-value_attention-multi_class"
    workflow.config |= {
        "embedding": {"outputs": []},
        "scores": {"outputs": ["scan"]},
        "model": {"llm_version": "mine"},
        "checkpoints": {"directory": "converted", "path": {"mine": str(place)}},
    }
    run = workflow.run().failed("mine gives no scores of a language model: the published files hold no head")
    assert "Traceback" not in run.output


def test_variants_of_pairs_are_refused(workflow):
    workflow.write("pairs.csv", "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b\na,b,prot,prot,MKV,MKL\n")
    workflow.datasets({"dataset": "p", "path": "pairs.csv", "kind": "pair", "variants": "variants.csv"})
    workflow.run("--dry-run").failed("variants: a file of pairs takes none; leave it empty")


@pytest.mark.long
@pytest.mark.parametrize("checkpoint", ["L1", "L2", "T1", "T2", "T5"])
def test_recorded_scores_through_a_whole_run(workflow, checkpoint):
    """Likelihoods, masked log-probabilities and mutants are those that LucaOne's training class gave."""
    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    if checkpoint not in manifest["checkpoints"]:
        pytest.skip(f"no recorded checkpoint {checkpoint}")
    cases = [case for case in manifest["cases"] if case["checkpoint"] == checkpoint]
    scans = {case["name"]: case for case in cases if case["kind"] == "scan"}
    mutants = {case["name"]: case for case in cases if case["kind"] == "mutants"}
    tables = []
    for name, case in {**scans, **mutants}.items():
        dataset = name.replace("/", "_")
        row = {"dataset": dataset, "path": f"{dataset}.fasta", "seq_type": case["seq_type"]}
        workflow.fasta(row["path"], {"s": case["sequence"]})
        if case["kind"] == "mutants":
            lines = [f"{each['mutant']},{each['mutated_sequence']}" for each in case["scores"]]
            workflow.write(f"{dataset}.csv", "\n".join(["mutant,mutated_sequence", *lines]) + "\n")
            row["variants"] = f"{dataset}.csv"
        tables.append(row)
    firsts = {name.replace("/", "_"): case.get("first_position", 1) for name, case in {**scans, **mutants}.items()}
    workflow.datasets(*(row for row in tables if firsts[row["dataset"]] == 1))
    place = GOLDEN / manifest["checkpoints"][checkpoint]["path"]
    workflow.config |= {
        "model": {"llm_version": "ours"},
        "embedding": {"outputs": []},
        "scores": {"outputs": ["likelihood", "residues"], "methods": METHODS},
        "checkpoints": {"directory": "converted", "path": {"ours": str(place)}},
    }
    workflow.run().failed("The weights do not tell", "set checkpoints.accept_unproven to true")
    workflow.config["checkpoints"]["accept_unproven"] = True
    workflow.run().succeeded()
    with np.load(GOLDEN / f"{checkpoint}.npz") as file:
        arrays = dict(file)
    for name, case in scans.items():
        folder = workflow.directory / "results" / name.replace("/", "_") / "ours/scores"
        logits = arrays[case["masked_logits"]].astype(float)
        expected = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        expected -= logits.max(1, keepdims=True)
        with h5py.File(folder / "residues.h5") as file:
            np.testing.assert_allclose(file["s"][:], expected, atol=2e-4, rtol=1e-5)
        found = pd.read_csv(folder / "sequences.tsv", sep="\t").iloc[0]
        assert found["pseudo_log_likelihood"] == pytest.approx(case["pseudo_log_likelihood"], rel=1e-6)
        restricted = case["restricted"]["pseudo_log_likelihood_of_those"]
        assert found["pseudo_log_likelihood_letters"] == pytest.approx(restricted, rel=1e-6, abs=1e-4)
        assert found["pseudo_perplexity"] == pytest.approx(case["pseudo_perplexity"], rel=1e-5)
    # Another number of the first residue is one of the run.
    for other in {*firsts.values()} - {1}:
        workflow.datasets(*(row for row in tables if firsts[row["dataset"]] == other))
        workflow.config["scores"]["first_residue"] = other
        workflow.run().succeeded()
    for name, case in mutants.items():
        found = pd.read_csv(workflow.directory / "results" / name.replace("/", "_") / "ours/scores/variants.csv")
        for method in METHODS:
            expected = [each[method] for each in case["scores"]]
            np.testing.assert_allclose(found[method], expected, atol=2e-4, rtol=1e-6)


def test_likelihoods_of_mini_are_those_of_lucaones_own_class(workflow):
    recorded = json.loads((GOLDEN / "mini.json").read_text())["sequences"]
    of_type = {kind: [case for case in recorded if case["seq_type"] == kind] for kind in ("prot", "gene")}
    rows = []
    for kind, cases in of_type.items():
        if cases:
            workflow.fasta(f"{kind}.fasta", {case["name"]: case["sequence"] for case in cases})
            rows.append({"dataset": kind, "path": f"{kind}.fasta", "seq_type": kind})
    workflow.datasets(*rows)
    workflow.config |= {"scores": {"outputs": ["likelihood"]}, "embedding": {"outputs": []}}
    workflow.run().succeeded()
    for kind, cases in of_type.items():
        if cases:
            found = pd.read_csv(workflow.result(kind, "scores/sequences.tsv"), sep="\t").set_index("id")
            for case in cases:
                expected = case["pseudo_log_likelihood"]
                assert found["pseudo_log_likelihood"][case["name"]] == pytest.approx(expected, rel=1e-5)


def test_a_wild_type_scan_takes_one_pass(workflow):
    workflow.fasta("p.fasta", {"one": PROTEIN})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= {
        "scores": {"outputs": ["scan"], "methods": ["wt_marginals"], "first_residue": 24}, "embedding": {"outputs": []},
    }  # fmt: skip
    run = workflow.run().succeeded()
    assert "scores by mini-1: 1 pass, 24 tokens" in run.output
    assert passes_of(workflow) == len(PROTEIN) + 2
    assert pd.read_csv(workflow.result("p", "scores/scan.tsv"), sep="\t")["position"][0] == 24
    with h5py.File(workflow.result("p", "scores/scan.h5")) as file:
        assert file.attrs["method"] == "wt_marginals"
