"""Every recorded run of LucaOneApp that computes its sequences in one pass, from its input file on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from golden_cases import TOLERANCE, columns_of, embedding_options, file_name, fixed_length, options_of

from lucaflow.engine import Engine
from lucaflow.errors import InputError
from lucaflow.readers import read_records
from lucaflow.records import Normaliser, Policies
from lucaflow.sequences import NormalisedSequence

# Recorded runs in which LucaOneApp is wrong, and what is said here instead of going on.
REFUSED = {
    "T1/clean/gene-only-marks": "no residue in the sequence",
    "T1/clean/gene-only-marks-special": "no residue in the sequence",
    "T1/clean/gene-only-digits": "no residue in the sequence",
    "T1/clean/gene-only-marks-mean": "no residue in the sequence",
    "T1/clean/gene-only-marks-cls": "no residue in the sequence",
    "T1/reader/fasta-empty-record": "no residue in the sequence",
    "T1/reader/fasta-last-empty": "no residue in the sequence",
    "T1/reader/fasta-empty-file": "holds no records",
    "T1/reader/fasta-dup-ids": "stands on line 1 with another sequence",
    "T1/reader/fasta-empty-id": "has no id",
}
# Wrong as well, but not by what the input holds.
ELSEWHERE = {
    "T1/trunc/prot-T0-right": "the configuration's schema refuses a truncation length below 1",
    "T1/trunc/prot-T0-left": "likewise",
    "T1/trunc/prot-T-1-right": "likewise",
    "T1/trunc/prot-T-1-left": "likewise",
    "T1/reader/fasta-comment": "a `;` line is a comment here, not a sequence",
    "T1/reader/fasta-colliding-ids": "four ids end in two files there; here each id has its own embedding",
    "T1/reader/stale-reuse": "the file of other options is kept there; here the fingerprint tells them apart",
}


def is_one_pass(case, defaults):
    if case["entry"] != "main" or case["outcome"] != "ok" or case["group"] in ("shrink", "segdirty"):
        return False
    options = options_of(case["runs"][0], defaults)
    fixed = fixed_length(options)
    raw_length = len(case.get("sequence") or "")
    return fixed is None or not options["embedding_complete"] or raw_length <= fixed


def outcomes(case, defaults, tmp_path):
    """Read and normalise a case's input file; return (header or id, outcome) of each record."""
    run = case["runs"][0]
    options = options_of(run, defaults)
    path = tmp_path / run["input_name"]
    path.write_text(run["input_text"], encoding="utf-8", newline="")
    normaliser = Normaliser(options["seq_type"], Policies("drop", "first", "accept", "error"))
    lines = run["input_text"].splitlines()
    for raw in read_records(path, columns_of(options)):
        is_table = path.suffix in (".csv", ".tsv")
        yield (raw.id if is_table else lines[raw.line - 1]), normaliser.outcome(raw)


def computed(case, checkpoint, defaults, tmp_path, budget):
    """Embed a case's input file as the workflow does; return arrays by LucaOneApp's file names."""
    options = options_of(case["runs"][0], defaults)
    wanted = embedding_options(options)
    sequences, names = [], []
    for header, outcome in outcomes(case, defaults, tmp_path):
        assert outcome.status == "accepted", outcome
        sequences.append(NormalisedSequence(outcome.digest, options["seq_type"], outcome.sequence))
        names.append(file_name(header, options["embedding_type"]))
    engine = Engine(checkpoint.encoder, wanted, torch.device("cpu"), budget)
    arrays = []
    for batch in engine.embed(sequences):
        arrays += batch.matrices or list(batch.vectors[wanted.outputs[0]])
    return dict(zip(names, arrays, strict=True))


def one_pass_cases(manifest):
    defaults = manifest["option_defaults"]
    return [case for case in manifest["cases"] if is_one_pass(case, defaults)]


@pytest.mark.parametrize("budget", [1, 100_000], ids=["alone", "together"])
def test_every_one_pass_case(budget, manifest, golden_checkpoints, tmp_path):
    cases = [case for case in one_pass_cases(manifest) if case["id"] not in REFUSED | ELSEWHERE]
    for case in cases:
        checkpoint = golden_checkpoints[case["checkpoint"]]
        found = computed(case, checkpoint, manifest["option_defaults"], tmp_path, budget)
        assert set(found) == {output["file"] for output in case["outputs"]}
        for output in case["outputs"]:
            expected = checkpoint.arrays[output["array"]]
            np.testing.assert_allclose(found[output["file"]], expected, **TOLERANCE, err_msg=case["id"])
    assert Counter(case["checkpoint"] for case in cases) == {"T1": 111, "T2": 22, "T3": 41, "T4": 14, "T5": 14}


def test_what_is_wrong_there_is_refused_here(manifest, tmp_path):
    cases = {case["id"]: case for case in one_pass_cases(manifest)}
    assert not (REFUSED | ELSEWHERE).keys() - cases.keys()
    for name, words in REFUSED.items():
        try:
            said = [outcome.reason for _, outcome in outcomes(cases[name], manifest["option_defaults"], tmp_path)]
        except InputError as error:
            said = [str(error)]
        assert any(words in reason for reason in said), (name, said)
