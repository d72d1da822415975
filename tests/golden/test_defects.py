"""The defects of LucaOneApp that touch values, by the tags of the recorded cases: ours is right, or refuses."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_cases import (
    IS_PACKAGED,
    PACKAGED,
    REFUSED,
    TOLERANCE,
    computed,
    embedding_options,
    enough,
    name_of,
    named_cases,
    options_of,
    outcomes,
    tagged_cases,
)
from workflow_runs import ROOT

from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_contact_head, load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.config.resolve import resolve
from lucaflow.encoders.lucaone import VOCABULARY
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.engine.windows import Windowing, mirrored, side_by_side
from lucaflow.errors import CheckpointError, ConfigError, EmbeddingError
from lucaflow.records.outcomes import Normaliser, Policies, Requirements, digest_of
from lucaflow.records.readers import RawRecord
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.schemas import read_yaml

MATRIX = EmbeddingOptions(("matrix",))


def rows_of(encoder, residues, seq_type):
    """The rows (n + 2, H) of residues that go through the network alone."""
    ids = torch.from_numpy(VOCABULARY.encode(residues, seq_type))
    types = torch.full_like(ids, VOCABULARY.token_types[seq_type])
    return encoder(ids, types, [len(ids)]).numpy()


def test_seg_left(manifest, golden_checkpoints, tmp_path):
    """Each residue's row is the one of that residue in the mirrored window, computed by itself."""
    cases = enough([case for case in tagged_cases(manifest, "SEG-LEFT") if case["group"] == "segmentation"], 25)
    for case in cases:
        checkpoint = golden_checkpoints[case["checkpoint"]]
        options = options_of(case["runs"][0], manifest["option_defaults"])
        (found,) = computed(case, checkpoint, options, tmp_path, 100).values()
        sequence, size = case["sequence"], options["embedding_fixed_len_a_time"]
        rows = found[1:-1] if options["matrix_add_special_token"] else found
        for window in mirrored(side_by_side(len(sequence), size), len(sequence)):
            states = rows_of(checkpoint.encoder, sequence[window.start : window.stop], options["seq_type"])
            first = 1 + window.kept_start - window.start
            np.testing.assert_allclose(
                rows[window.kept_start : window.kept_stop], states[first : first + window.kept], atol=1e-5
            )


def test_seg_left_vectors(manifest, golden_checkpoints, tmp_path):
    """Pooled vectors under windows from the left are those of the matrix that is right."""
    cases = [case for case in tagged_cases(manifest, "SEG-LEFT") if case["group"] != "segmentation"]
    pooled = [case for case in cases if case["runs"][0]["options"].get("embedding_type") == "vector"]
    assert pooled
    for case in pooled:
        checkpoint = golden_checkpoints[case["checkpoint"]]
        defaults = manifest["option_defaults"]
        kind = options_of(case["runs"][0], defaults)["vector_type"]
        whole = {"embedding_type": "matrix", "matrix_add_special_token": True}
        of_matrix = {**case, "runs": [{**case["runs"][0], "options": {**case["runs"][0]["options"], **whole}}]}
        vectors = computed(case, checkpoint, defaults, tmp_path, 100)
        matrices = computed(of_matrix, checkpoint, defaults, tmp_path, 100)
        for vector, matrix in zip(vectors.values(), matrices.values(), strict=True):
            expected = {"mean": matrix[1:-1].mean(0), "max": matrix[1:-1].max(0), "cls": matrix[0]}[kind]
            np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_seg_dirty(manifest, golden_checkpoints, tmp_path):
    """A sequence with characters to drop gives what it gives without them."""
    cases = enough([case for case in tagged_cases(manifest, "SEG-DIRTY") if name_of(case) not in REFUSED], 20)
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


def test_id_collision(manifest, tmp_path):
    """Four ids, four embeddings; LucaOneApp's files for them are refused by name."""
    case, *_ = named_cases(manifest, ["reader/fasta-colliding-ids"])
    said = [outcome for _, outcome in outcomes(case, manifest["option_defaults"], tmp_path)]
    assert [outcome.status for outcome in said] == ["accepted"] * 4
    assert len({outcome.digest for outcome in said}) == 3
    named = list(outcomes(case, manifest["option_defaults"], tmp_path, requirements=Requirements(file_names=True)))
    assert [outcome.status for _, outcome in named] == ["accepted", "problem", "accepted", "problem"]


def test_stale(manifest, golden_checkpoints, tmp_path):
    """Other options, another place and other values."""
    case, *_ = named_cases(manifest, ["reader/stale-reuse"])
    first, second = (options_of(run, manifest["option_defaults"]) for run in case["runs"])
    assert (first["vector_type"], second["vector_type"]) == ("mean", "max")
    fingerprints = {embedding_options(options).fingerprint("c" * 64) for options in (first, second)}
    assert len(fingerprints) == 2
    checkpoint = golden_checkpoints[case["checkpoint"]]
    (kept,) = (checkpoint.arrays[output["array"]] for output in case["outputs"])
    (found,) = computed({**case, "runs": case["runs"][1:]}, checkpoint, second, tmp_path, 100).values()
    residues = case["runs"][1]["input_text"].split()[1]
    np.testing.assert_allclose(found, rows_of(checkpoint.encoder, residues, "prot")[1:-1].max(0), **TOLERANCE)
    assert not np.allclose(found, kept, atol=1e-2)


def test_fasta_empty_record(manifest, tmp_path):
    """A header without a sequence takes nobody else's, and does not vanish."""
    case, *_ = named_cases(manifest, ["reader/fasta-empty-record"])
    said = dict(outcomes(case, manifest["option_defaults"], tmp_path))
    assert [outcome.status for outcome in said.values()] == ["problem", "accepted", "accepted"]
    assert said[">two"].sequence == "LNHGEYCTLGLR"


def test_silent_truncation_and_swallow(manifest, golden_checkpoints, tmp_path):
    """What a checkpoint cannot take is refused at once, with its length and what to set."""
    cases = tagged_cases(manifest, "SILENT-TRUNCATION", "SWALLOW")
    assert cases
    for case in cases:
        checkpoint = golden_checkpoints[case["checkpoint"]]
        longest = checkpoint.encoder.config.longest_sequence
        assert longest == 62 or not IS_PACKAGED
        with pytest.raises(EmbeddingError, match=f"position table allows at most {longest}"):
            computed(case, checkpoint, manifest["option_defaults"], tmp_path, 100)


def test_clean():
    """Characters that are no residues are refused by place, or dropped and counted; codes keep their place."""
    raw = RawRecord(1, "a", "", "MK-V.L*A1")
    assert "'-' at position 3" in Normaliser(Policies()).outcome(raw, "prot").reason
    dropped = Normaliser(Policies(invalid_characters="drop")).outcome(raw, "prot")
    assert (dropped.sequence, dropped.changed) == ("MKVLA", 4)
    assert Normaliser(Policies()).outcome(RawRecord(1, "a", "", "ACGTRYACGT"), "gene").sequence == "ACGTRYACGT"


def test_empty(manifest, tmp_path):
    """Nothing left of a sequence is a problem or a dropped record, never a vector of NaN."""
    for case in named_cases(
        manifest, [name for name, words in REFUSED.items() if words == "no residue in the sequence"]
    ):
        said = [outcome for _, outcome in outcomes(case, manifest["option_defaults"], tmp_path)]
        assert "problem" in {outcome.status for outcome in said}
        assert all(outcome.sequence for outcome in said if outcome.status == "accepted")


def test_inv_freq(golden_checkpoints):
    """Rotary frequencies are those of the file: T2 has them rounded, and drawing them anew would change values."""
    encoder = load_encoder(golden_checkpoints["T2"].folder)
    read = rows_of(encoder, "MKVLAWRRKLAWQE" * 20, "prot")
    for block in encoder.layers:
        stored = block.self_attn.inv_freq
        nominal = 10000.0 ** (-torch.arange(len(stored)) / len(stored))
        assert not torch.equal(stored, nominal)
        np.testing.assert_allclose(stored, nominal, rtol=1e-3)
        block.self_attn.inv_freq = nominal
    assert np.abs(rows_of(encoder, "MKVLAWRRKLAWQE" * 20, "prot") - read).max() > TOLERANCE["atol"]


@pytest.mark.parametrize("step", [36800000, 30000000, 17600000])
def test_step_list(step):
    """A step that is not there is an error; no other one is loaded in its place."""
    assert "36000000" in str(locate(PACKAGED / "embedding/checkpoints/T1", Model("lucaone", 36000000)).config)
    with pytest.raises(CheckpointError, match=str(step)):
        locate(PACKAGED / "embedding/checkpoints/T1", Model("lucaone", step))


@pytest.mark.parametrize("length", [0, -1])
def test_trunc_zero(length):
    with pytest.raises(ConfigError, match="truncation_seq_length"):
        resolve({"embedding": {"truncation_seq_length": length}}, read_yaml(ROOT / "config/schemas/config.schema.yaml"))


def context(windowing, length):
    """Residues before and after each kept row within its window; None where the sequence itself ends sooner."""
    for window in windowing.windows(length):
        for row in range(window.kept_start, window.kept_stop):
            yield min(
                row - window.start if window.start else length,
                window.stop - 1 - row if window.stop < length else length,
            )


def test_seg_edge():
    """LucaOne's rows at a seam have no context on one side; `centered` has a quarter of a window on both."""
    assert min(context(Windowing(embedding_fixed_len_a_time=20), 100)) == 0
    assert min(context(Windowing(embedding_fixed_len_a_time=20, stitching="centered"), 100)) >= 5


def test_seg_2():
    """Up to two windows LucaOne tries, fails and shortens; the windows it ends with are known beforehand."""
    for length in range(21, 41):
        windows = side_by_side(length, 20)
        assert len(windows) <= 3
        assert all(window.length < length / 2 for window in windows[1:])


def test_seg_sep(golden_checkpoints):
    """`lucaone` takes [CLS] and [SEP] from the window that is computed first, `centered` from the two ends."""
    encoder, sequence = golden_checkpoints["T1"].encoder, "MKVLAWRRKLAWQEDFGHIP" * 4
    first, last = (rows_of(encoder, part, "prot") for part in (sequence[:20], sequence[-20:]))
    for way, ends in (
        ({}, (first, first)),
        ({"trunc_type": "left"}, (last, last)),
        ({"stitching": "centered"}, (first, last)),
    ):
        options = replace(MATRIX, embedding_fixed_len_a_time=20, matrix_add_special_token=True, **way)
        (matrix,) = Engine(encoder, options, torch.device("cpu"), 100).matrices(
            [NormalisedSequence(digest_of("prot", sequence), "prot", sequence)]
        )
        np.testing.assert_allclose(matrix[0], ends[0][0], atol=1e-5)
        np.testing.assert_allclose(matrix[-1], ends[1][-1], atol=1e-5)


def test_seg_tiny():
    """A window of one residue cannot overlap; without overlap it works."""
    with pytest.raises(ValueError, match="expected at least 2"):
        Windowing(embedding_fixed_len_a_time=1)
    windows = Windowing(embedding_fixed_len_a_time=1, embedding_complete_seg_overlap=False).windows(2)
    assert [(window.kept_start, window.kept_stop) for window in windows] == [(0, 1), (1, 2)]


def test_contacts(golden_checkpoints):
    """The head is there, and gives a symmetric map."""
    checkpoint = golden_checkpoints["T1"]
    ids = torch.from_numpy(VOCABULARY.encode("MKVLAWRRKL", "prot"))
    _, contacts = load_contact_head(checkpoint.folder)(checkpoint.encoder, ids, torch.ones_like(ids))
    assert contacts.shape == (10, 10)
    np.testing.assert_allclose(contacts, contacts.T, atol=1e-6)


def test_llm_dir(tmp_path):
    """A checkpoint's own path may hold `llm/models`."""
    root = tmp_path / "llm" / "models" / "mine"
    shutil.copytree(PACKAGED / "embedding/checkpoints/T1", root)
    origin = locate(root, Model("lucaone", 36000000))
    assert all(path.is_file() and path.is_relative_to(root) for path in origin.files)
