"""Every recorded run of LucaOneApp, from its input file on: the same values, or a reason why not."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from golden_cases import TOLERANCE, columns_of, embedding_options, file_name, options_of

from lucaflow.alphabet import encode
from lucaflow.engine import Engine
from lucaflow.errors import EmbeddingError, InputError
from lucaflow.readers import read_records
from lucaflow.records import Normaliser, Policies
from lucaflow.sequences import NormalisedSequence
from lucaflow.windows import mirrored, side_by_side

# Recorded runs in which LucaOneApp is wrong, and what is said here instead of going on.
REFUSED = {
    "T1/clean/gene-only-marks": "no residue in the sequence",
    "T1/clean/gene-only-marks-special": "no residue in the sequence",
    "T1/clean/gene-only-digits": "no residue in the sequence",
    "T1/clean/gene-only-marks-mean": "no residue in the sequence",
    "T1/clean/gene-only-marks-max": "no residue in the sequence",
    "T1/clean/gene-only-marks-cls": "no residue in the sequence",
    "T1/segdirty/C14-gene-empty": "no residue in the sequence",
    "T1/typecheck/prot-empty": "no residue in the sequence",
    "T1/reader/fasta-blank-record": "no residue in the sequence",
    "T1/reader/fasta-empty-record": "no residue in the sequence",
    "T1/reader/fasta-last-empty": "no residue in the sequence",
    "T1/reader/fasta-empty-file": "holds no records",
    "T1/reader/fasta-dup-ids": "stands on line 1 with another sequence",
    "T1/reader/fasta-empty-id": "has no id",
    "T1/reader/csv-empty-id": "has no id",
    "T1/reader/fasta-no-header": "neither FASTA nor a table",
    "T1/reader/csv-one-column": "neither FASTA nor a table",
    "T1/reader/csv-semicolon": "neither FASTA nor a table",
    "T1/reader/csv-lower-idx-range": "no column '5' for the sequences",
    "T1/typecheck/gene-is-prot": "looks like a protein",
    "T1/reader/fasta-abort-midway": None,
}
# Recorded failures of records that are fine; the values cannot be compared, since none were recorded.
ACCEPTED = {
    "T1/typecheck/gene-87pct": "a gene may be rich in ambiguity codes",
    "T1/typecheck/prot-acgt": "a short peptide may consist of A, C, G and T",
    "T1/typecheck/prot-marks-M-acgt": "marks do not hide that a protein starts with M",
    "T1/reader/fasta-leading-blank": "blank lines may precede the first header",
    "T1/reader/fasta-bom": "a byte order mark is no text",
    "T1/reader/fasta-long-id": "ids do not become file names",
    "T1/reader/fasta-abort-midway": "a short peptide does not stop the others",
    "T1/reader/csv-blank-row": "blank rows are skipped",
    "T1/reader/csv-upper-ext": "formats are recognised by content",
    "T1/reader/csv-in-tsv": "formats are recognised by content",
    "T1/segdirty/C14-gene-one-letter-overlap": "windows are cut from what is left after cleaning",
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
    "T1/reader/fasta-comment": "a `;` line is a comment here, not a sequence",
    "T1/reader/fasta-colliding-ids": "four ids end in two files there; here each id has its own embedding",
    "STALE": "the file of other options is kept there; here the fingerprint tells them apart",
    "CLI": "there is no command line to misuse",
    "SEQ-MODE": "there is no interactive prompt",
    "LLM-DIR": "no path is rewritten",
}


def reason_to_differ(case):
    """Return why a recorded run is not reproduced; None where it is."""
    keys = [case["id"], *(case.get("defects") or []), case["group"]]
    return next((table[key] for table in (ACCEPTED, REFUSED, OTHERWISE) for key in keys if key in table), None)


def reproduced_cases(manifest):
    main = [case for case in manifest["cases"] if case["entry"] == "main" and reason_to_differ(case) is None]
    assert all(case["outcome"] == "ok" for case in main)
    return main


def named_cases(manifest, names):
    cases = {case["id"]: case for case in manifest["cases"]}
    return [cases[name] for name in names]


def outcomes(case, defaults, tmp_path, type_mismatch="accept"):
    """Read and normalise a case's input file; return (header or id, outcome) of each record."""
    run = case["runs"][0]
    options = options_of(run, defaults)
    path = tmp_path / run["input_name"]
    path.write_text(run["input_text"], encoding="utf-8", newline="")
    normaliser = Normaliser(options["seq_type"], Policies("drop", "first", type_mismatch, "error"))
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
    found = {}
    for batch in engine.embed(sequences):
        for piece in batch.pieces:
            matrix = found.setdefault(piece.sequence, np.full((piece.total_rows, piece.rows.shape[1]), np.nan))
            matrix[piece.start_row : piece.start_row + len(piece.rows)] = piece.rows
        for vectors in batch.vectors.values():
            found |= dict(enumerate(vectors, start=batch.start))
    return {names[index]: array for index, array in found.items()}


def test_every_case_is_accounted_for(manifest):
    """481 in all: 22 direct calls, and runs that are the same or differ for a reason."""
    differing = [case for case in manifest["cases"] if case["entry"] == "main" and reason_to_differ(case)]
    assert len(reproduced_cases(manifest)) == 331
    assert len(differing) == 128


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
        try:
            said = [
                outcome.reason
                for _, outcome in outcomes(case, manifest["option_defaults"], tmp_path, type_mismatch="error")
            ]
        except InputError as error:
            said = [str(error)]
        assert any(REFUSED[case["id"]] in reason for reason in said), (case["id"], said)


def test_what_fails_there_without_need_works_here(manifest, golden_checkpoints, tmp_path):
    for case in named_cases(manifest, ACCEPTED):
        checkpoint = golden_checkpoints[case["checkpoint"]]
        said = list(outcomes(case, manifest["option_defaults"], tmp_path, type_mismatch="error"))
        assert {outcome.status for _, outcome in said} == {"accepted"}, (case["id"], said)
        assert len(computed(case, checkpoint, manifest["option_defaults"], tmp_path, 100)) == len(said)


def test_seg_dirty(manifest, golden_checkpoints, tmp_path):
    """A sequence with characters to drop gives what it gives without them."""
    cases = [case for case in manifest["cases"] if "SEG-DIRTY" in (case.get("defects") or [])]
    cases = [case for case in cases if case["id"] not in REFUSED]
    assert len(cases) > 20
    for case in cases:
        checkpoint = golden_checkpoints[case["checkpoint"]]
        dirty = computed(case, checkpoint, manifest["option_defaults"], tmp_path, 100)
        text = case["runs"][0]["input_text"]
        head, body = text.split("\n", 1) if text.startswith(">") else text.rsplit(",", 1)
        clean = re.sub(r"[^A-Za-z\n]", "", body)
        joint = "\n" if text.startswith(">") else ","
        cleaned = {**case, "runs": [{**case["runs"][0], "input_text": f"{head}{joint}{clean}"}]}
        for name, array in computed(cleaned, checkpoint, manifest["option_defaults"], tmp_path, 100).items():
            np.testing.assert_array_equal(dirty[name], array)


def test_seg_left(manifest, golden_checkpoints, tmp_path):
    """Each residue's row is the one of that residue in the mirrored window, computed by itself."""
    cases = [case for case in manifest["cases"] if "SEG-LEFT" in (case.get("defects") or [])]
    cases = [case for case in cases if case["group"] == "segmentation"]
    assert len(cases) > 25
    for case in cases:
        encoder = golden_checkpoints[case["checkpoint"]].encoder
        options = options_of(case["runs"][0], manifest["option_defaults"])
        (found,) = computed(case, golden_checkpoints[case["checkpoint"]], options, tmp_path, 100).values()
        sequence, size = case["sequence"], options["embedding_fixed_len_a_time"]
        rows = found[1:-1] if options["matrix_add_special_token"] else found
        for window in mirrored(side_by_side(len(sequence), size), len(sequence)):
            ids = torch.from_numpy(encode(sequence[window.start : window.stop], options["seq_type"]))[None]
            types = torch.full_like(ids, int(options["seq_type"] == "prot"))
            states = encoder(ids, types, torch.tensor([ids.shape[1]]))[0].numpy()
            first = 1 + window.kept_start - window.start
            np.testing.assert_allclose(
                rows[window.kept_start : window.kept_stop], states[first : first + window.kept], atol=1e-5
            )


def test_what_a_table_of_positions_cannot_take_is_refused(manifest, golden_checkpoints, tmp_path):
    tags = {"SILENT-TRUNCATION", "SWALLOW"}
    cases = [case for case in manifest["cases"] if tags & set(case.get("defects") or [])]
    assert cases
    for case in cases:
        with pytest.raises(EmbeddingError, match="table of positions ends at 62"):
            computed(case, golden_checkpoints["T4"], manifest["option_defaults"], tmp_path, 100)
