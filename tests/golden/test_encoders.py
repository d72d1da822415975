"""ESM-2 and DNABERT-2 give the recorded results of their authors' code and of LucaOneTasks, from published files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from recorded_encoders import CASES, DEFAULTS, GOLDEN, TOLERANCE, kept, recorded_arrays, seq_type_of

import lucaflow
from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_contact_head, load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import ConfigError, EmbeddingError
from lucaflow.records.sequences import NormalisedSequence


def cases_of(*kinds):
    found = [case for case in CASES if case["kind"] in kinds and not case.get("error")]
    return [pytest.param(case, id=case["name"]) for case in found]


@pytest.fixture(scope="module")
def arrays():
    return recorded_arrays()


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The folder of each converted checkpoint, by its name."""
    folders = {}
    for config in sorted((GOLDEN / "checkpoints").glob("*/config.json")):
        published = config.parent
        model = Model(published.name, None)
        folders[published.name] = tmp_path_factory.mktemp(published.name)
        convert(locate(published, model), folders[published.name])
    return folders


@pytest.fixture(scope="module")
def encoders(converted):
    return {name: load_encoder(folder) for name, folder in converted.items()}


@pytest.mark.parametrize("case", cases_of("esm_forward"))
def test_each_layer_and_the_contacts(case, encoders, converted, arrays):
    encoder = encoders[case["checkpoint"]]
    ids = torch.tensor(case["input_ids"])
    types = torch.zeros_like(ids)
    for layer, name in enumerate(case.get("layers", [])):
        of_layer = None if layer == encoder.config.num_hidden_layers else layer
        found = encoder(ids, types, [len(ids)], layer=of_layer)
        np.testing.assert_allclose(found.numpy(), arrays[name], **TOLERANCE)
    if "contacts" in case:
        _, contacts = load_contact_head(converted[case["checkpoint"]])(encoder, ids, types)
        np.testing.assert_allclose(contacts.numpy(), arrays[case["contacts"]], **TOLERANCE)
    if "masked" not in case:
        np.testing.assert_array_equal(encoder.vocabulary.encode(case["sequence"], "prot"), case["input_ids"])


@pytest.mark.parametrize("case", cases_of("dnabert2_forward"))
def test_each_layer_of_dnabert2(case, encoders, arrays):
    encoder = encoders[case["checkpoint"]]
    ids = torch.tensor(case["input_ids"])
    for number, name in enumerate(case["layers"], start=1):
        found = encoder(ids, torch.zeros_like(ids), [len(ids)], layer=number)
        np.testing.assert_allclose(found.numpy(), arrays[name], **TOLERANCE)
    np.testing.assert_array_equal(encoder.vocabulary.encode(kept(case, "gene"), "gene"), case["input_ids"])


@pytest.mark.parametrize("case", cases_of("esm_lucaonetasks", "esm_segments", "dnabert2_lucaonetasks"))
def test_matrices_and_vectors_of_lucaonetasks(case, encoders, arrays):
    stated = DEFAULTS | case["options"]
    outputs = ("cls",) if stated.pop("embedding_type", "matrix") == "vector" else ("matrix",)
    engine = Engine(
        encoders[case["checkpoint"]], EmbeddingOptions(outputs=outputs, **stated), torch.device("cpu"), 1000
    )
    seq_type = seq_type_of(case)
    sequence = NormalisedSequence("0" * 64, seq_type, kept(case, seq_type))
    if outputs == ("matrix",):
        (found,) = engine.matrices([sequence])
    else:
        (batch,) = engine.embed([sequence])
        (found,) = batch.vectors["cls"]
    np.testing.assert_allclose(found, arrays[case["array"]], **TOLERANCE)


def test_the_letters_of_each_row_are_those_of_the_recorded_tokens(encoders):
    for case in (case for case in CASES if case["kind"] == "dnabert2_lucaonetasks" and not case["options"]):
        sequence = NormalisedSequence("0" * 64, "gene", kept(case, "gene"))
        options = EmbeddingOptions(outputs=("matrix",), embedding_complete=False)
        engine = Engine(encoders[case["checkpoint"]], options, torch.device("cpu"), 1000)
        ((_, spans),) = [batch.pieces for batch in engine.embed([sequence])]
        letters = [sequence.residues[start:stop].replace("U", "T") for start, stop in spans.rows]
        unknown = [
            len(text) == 1 and token == "[UNK]" for text, token in zip(letters, case["tokens"][1:-1], strict=True)
        ]
        read = ["[UNK]" if each else text for text, each in zip(letters, unknown, strict=True)]
        assert read == case["tokens"][1:-1]
        assert "".join(letters) == sequence.residues[: options.truncation_seq_length].replace("U", "T")


def test_files_in_parts_with_frequencies_once_are_the_same_network(encoders, converted):
    if "E2-sharded" not in encoders:
        pytest.skip(f"{GOLDEN} has no E2-sharded")
    protein = "MKTAYIAKQRQISFVKSHFSRQLEERLG"
    whole, parts = (lucaflow.embed(encoders[name], protein, "prot", "matrix") for name in ("E2", "E2-sharded"))
    np.testing.assert_array_equal(whole, parts)
    records = [json.loads((converted[name] / "checkpoint.json").read_text()) for name in ("E2", "E2-sharded")]
    assert records[0]["network_sha256"] == records[1]["network_sha256"]


SEQUENCES = {
    "prot": {"a": "MKTAYIAKQRQISFVKSHFSRQ", "b": "MKTAYIAKQRQISFVKSHFSRW", "c": "GIVEQCCTSI", "d": "M"},
    "gene": {"a": "ACGTAGCATCGGATCTATCTAT", "b": "TTGACAGCTAGCTCAGTCCTAG", "c": "ACGNNUACRY", "d": "A"},
}


def test_packed_sequences_have_the_values_of_single_ones(encoders):
    for encoder in encoders.values():
        (seq_type,) = encoder.vocabulary.seq_types
        outputs = ["mean", "max", "cls", "matrix"]
        together = lucaflow.embed(encoder, SEQUENCES[seq_type], seq_type, outputs)
        for name, sequence in SEQUENCES[seq_type].items():
            for output, found in lucaflow.embed(encoder, sequence, seq_type, outputs).items():
                np.testing.assert_allclose(together[name][output], found, **TOLERANCE)


def test_the_other_type_is_refused(encoders):
    for encoder in encoders.values():
        if encoder.vocabulary.seq_types == ("gene",):
            with pytest.raises(ConfigError, match="seq_type: this encoder reads only gene sequences, not prot"):
                lucaflow.embed(encoder, "ACGT", "prot")
            continue
        with pytest.raises(ConfigError, match="seq_type: this encoder reads only prot sequences, not gene"):
            lucaflow.embed(encoder, "ACGT", "dna")
        engine = Engine(encoder, EmbeddingOptions(), torch.device("cpu"), 1000)
        with pytest.raises(EmbeddingError, match="is of type `gene`, but this checkpoint reads only prot sequences"):
            list(engine.embed([NormalisedSequence("0" * 64, "gene", "ACGT")]))


def test_j_is_read_as_x_so_that_each_residue_has_its_row(encoders):
    for encoder in (encoder for encoder in encoders.values() if encoder.family == "esm2"):
        found, expected = (lucaflow.embed(encoder, text, "prot", "matrix") for text in ("MKJV", "MKXV"))
        np.testing.assert_array_equal(found, expected)
        assert len(found) == 4
