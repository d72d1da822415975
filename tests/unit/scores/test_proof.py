"""Weights prove themselves once, on known sequences; those that cannot are refused where scores are asked for."""

from __future__ import annotations

import json

import pytest
from golden_cases import PACKAGED

from lucaflow import load_encoder
from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError
from lucaflow.scores import proof as proof_module
from lucaflow.scores import proof_record
from lucaflow.scores.passes import LanguageModel
from lucaflow.scores.proof import known_sequences, prove, require_proven, shuffled_order
from lucaflow.scores.proof_record import KNOWN_SEQUENCES, PROOF_NAME, packaged_proofs, recorded_proofs

SHORT = """name	seq_type	source	sequence
one	prot	here	MKVLAWRRKLAWQEMKVLAW
two	prot	here	GIVEQCCTSICSLYQLENYC
three	gene	here	ACGTAGCATCGGATCTATCT
four	gene	here	TTGACAGCTAGCTCAGTCCT
"""


@pytest.fixture
def random_weights(tmp_path, monkeypatch):
    """The folder of a checkpoint with random weights, where a few short sequences are known."""
    path = tmp_path / "known.tsv"
    path.write_text(SHORT)
    for module in (proof_module, proof_record):
        monkeypatch.setattr(module, "KNOWN_SEQUENCES", path)
    convert(locate(PACKAGED / "language_model/checkpoints/L2-hf", Model("ours", None)), tmp_path / "converted")
    return tmp_path / "converted"


def test_random_weights_are_refused_unless_that_is_accepted(random_weights, monkeypatch):
    model, record = LanguageModel.of(load_encoder(random_weights)), read_record(random_weights)
    said = r"cannot be trusted\. The weights do not tell 2 known proteins .* set checkpoints\.accept_unproven to true"
    with pytest.raises(CheckpointError, match=said):
        require_proven(model, random_weights, record, "prot", accept_unproven=False)
    content = json.loads((random_weights / PROOF_NAME).read_text())
    assert [each["name"] for each in content["proofs"]["prot"]["sequences"]] == ["one", "two"]
    monkeypatch.setattr(proof_module, "prove", lambda *_: pytest.fail("it is made again"))
    assert not require_proven(model, random_weights, record, "prot", accept_unproven=True).proven


def test_each_type_has_its_proof_and_other_weights_have_others(random_weights):
    model, record = LanguageModel.of(load_encoder(random_weights)), read_record(random_weights)
    for seq_type in ("gene", "prot"):
        require_proven(model, random_weights, record, seq_type, accept_unproven=True)
    assert set(recorded_proofs(random_weights / PROOF_NAME, record)) == {"gene", "prot"}
    assert recorded_proofs(random_weights / PROOF_NAME, {**record, "network_sha256": "0" * 64}) == {}
    (random_weights / PROOF_NAME).write_text("{")
    assert recorded_proofs(random_weights / PROOF_NAME, record) == {}


@pytest.mark.usefixtures("random_weights")
def test_byte_pairs_are_compared_by_sequence(tmp_path):
    convert(locate(PACKAGED / "encoders/checkpoints/D1", Model("ours", None)), tmp_path / "pairs")
    found = prove(LanguageModel.of(load_encoder(tmp_path / "pairs")), "gene")
    assert (len(found.sequences), found.proven) == (2, False)


@pytest.mark.parametrize(
    ("name", "proven"),
    [("mini", {"gene": True, "prot": True}), ("mini-esm2", {"prot": False})],
)
def test_the_proofs_of_packaged_checkpoints_come_with_them(name, proven):
    encoder = load_encoder(name)
    proofs = packaged_proofs(read_record(encoder.folder))
    assert {seq_type: proof.proven for seq_type, proof in proofs.items()} == proven
    assert (
        require_proven(None, encoder.folder, read_record(encoder.folder), "prot", not proven["prot"]) == proofs["prot"]
    )


@pytest.mark.long
def test_its_proof_is_what_it_gives():
    model = LanguageModel.of(load_encoder("mini"))
    recorded = packaged_proofs(read_record(model.encoder.folder))
    for seq_type, expected in recorded.items():
        found = prove(model, seq_type)
        assert found.difference == pytest.approx(expected.difference, abs=1e-5)
        assert [each.name for each in found.sequences] == [each.name for each in expected.sequences]


def test_known_sequences_are_normalised_and_have_their_source():
    assert KNOWN_SEQUENCES.is_file()
    for seq_type, letters in {"prot": set("ACDEFGHIKLMNPQRSTVWY"), "gene": set("ACGT")}.items():
        found = known_sequences(seq_type)
        assert len(found) > 5
        assert all(set(known.sequence) <= letters and known.source for known in found)
        assert all(sorted(shuffled_order(known.sequence)) == [*range(len(known.sequence))] for known in found)
