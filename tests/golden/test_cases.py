"""Every recorded run of LucaOneApp, from its input file on: the same values, or a reason why not."""

from __future__ import annotations

import numpy as np
import pytest
from golden_cases import (
    IS_PACKAGED,
    REFUSED,
    TOLERANCE,
    computed,
    forward_cases,
    name_of,
    named_cases,
    outcomes,
    refusal,
)

# Recorded failures of records that are fine; the values cannot be compared, since none were recorded.
ACCEPTED = {
    "typecheck/gene-87pct": "a gene may be rich in ambiguity codes",
    "typecheck/prot-acgt": "a short peptide may consist of A, C, G and T",
    "typecheck/prot-marks-M-acgt": "marks do not hide that a protein starts with M",
    "reader/fasta-leading-blank": "blank lines may precede the first header",
    "reader/fasta-bom": "a byte order mark is no text",
    "reader/fasta-long-id": "ids do not become file names",
    "reader/fasta-abort-midway": "a short peptide does not stop the others",
    "reader/csv-blank-row": "blank rows are skipped",
    "reader/csv-upper-ext": "formats are recognised by content",
    "reader/csv-in-tsv": "formats are recognised by content",
    "reader/csv-semicolon": "cells may be separated by semicolons",
    "segdirty/C14-gene-one-letter-overlap": "windows are cut from what is left after cleaning",
}
# The rest, by group or by defect.
OTHERWISE = {
    "SEG-LEFT": "windows without overlap from the left are the mirror image of those from the right",
    "SEG-DIRTY": "windows are cut from what is left after cleaning",
    "SEG-TINY": "windows too short for their stitching are refused; a window of one residue works",
    "SILENT-TRUNCATION": "nothing is shortened because it does not fit; it is an error that says what to set",
    "SWALLOW": "a length that a checkpoint cannot take is an error at once",
    "shrink": "nothing is divided because it does not fit; it is an error that says what to set",
    "TRUNC-ZERO": "the configuration's schema refuses a truncation length below 1",
    "reader/csv-only-id-idx": "the third column is read there; here it is the one that the header calls `seq`",
    "reader/fasta-comment": "a `;` line is a comment here, not a sequence",
    "reader/fasta-colliding-ids": "four ids end in two files there; here each id has its own embedding",
    "STALE": "the file of other options is kept there; here the fingerprint tells them apart",
    "CLI": "there is no command line to misuse",
    "SEQ-MODE": "there is no interactive prompt",
    "LLM-DIR": "no path is rewritten",
    "EMPTY": "a sequence without residues is refused",
}


def reason_to_differ(case):
    """Return why a recorded run is not reproduced; None where it is."""
    keys = [name_of(case), *(case.get("defects") or []), case["group"]]
    return next((table[key] for table in (ACCEPTED, REFUSED, OTHERWISE) for key in keys if key in table), None)


def reproduced_cases(manifest):
    """Return the recorded runs to compare; of the packaged ones every failure has its reason."""
    main = [case for case in manifest["cases"] if case["entry"] == "main" and reason_to_differ(case) is None]
    assert not IS_PACKAGED or all(case["outcome"] == "ok" for case in main)
    return [case for case in main if case["outcome"] == "ok"]


def test_every_case_is_accounted_for(manifest):
    """Direct calls, runs that are the same, runs that differ for a reason, and elsewhere runs that failed for none."""
    main = [case for case in manifest["cases"] if case["entry"] == "main"]
    differing = [case for case in main if reason_to_differ(case)]
    failed = [case for case in main if case["outcome"] != "ok" and not reason_to_differ(case)]
    numbers = [len(forward_cases(manifest)), len(reproduced_cases(manifest)), len(differing), len(failed)]
    assert sum(numbers) == len(manifest["cases"])
    assert numbers[1]
    assert numbers == [22, 329, 130, 0] or not IS_PACKAGED


@pytest.mark.parametrize("budget", [1, 100_000], ids=["alone", "together"])
def test_every_case_that_should_be_the_same(budget, manifest, golden_checkpoints, tmp_path):
    for case in reproduced_cases(manifest):
        checkpoint = golden_checkpoints[case["checkpoint"]]
        found = computed(case, checkpoint, manifest["option_defaults"], tmp_path, budget)
        assert set(found) == {output["file"] for output in case["outputs"]}
        for output in case["outputs"]:
            expected = checkpoint.arrays[output["array"]]
            np.testing.assert_allclose(found[output["file"]], expected, **TOLERANCE, err_msg=case["id"])


def test_what_is_wrong_there_is_refused_here(manifest, tmp_path):
    for case in named_cases(manifest, [name for name, words in REFUSED.items() if words]):
        assert REFUSED[name_of(case)] in refusal(case, manifest["option_defaults"], tmp_path), case["id"]


def test_what_fails_there_without_need_works_here(manifest, golden_checkpoints, tmp_path):
    for case in named_cases(manifest, ACCEPTED):
        checkpoint = golden_checkpoints[case["checkpoint"]]
        said = list(outcomes(case, manifest["option_defaults"], tmp_path, type_mismatch="error"))
        assert {outcome.status for _, outcome in said} == {"accepted"}, (case["id"], said)
        assert len(computed(case, checkpoint, manifest["option_defaults"], tmp_path, 100)) == len(said)
