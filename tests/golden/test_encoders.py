"""ESM-2 gives the recorded results of fair-esm and LucaOneTasks, from each form in which it is published."""

from __future__ import annotations

import json
import string

import numpy as np
import pytest
import torch
from golden_cases import golden_folder

import lucaflow
from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_contact_head, load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import ConfigError, EmbeddingError
from lucaflow.records.sequences import NormalisedSequence

GOLDEN = golden_folder("encoders")
CASES = json.loads((GOLDEN / "esm2_manifest.json").read_text())
TOLERANCE = {"atol": 2e-5, "rtol": 1e-5}
# Letters that LucaOneTasks keeps: it removes a J, which LucaFlow reads as X.
KEPT = set(string.ascii_uppercase) - {"J"}


def cases_of(*kinds):
    found = [case for case in CASES if case["kind"] in kinds and not case.get("error")]
    return [pytest.param(case, id=case["name"]) for case in found]


@pytest.fixture(scope="module")
def arrays():
    with np.load(GOLDEN / "esm2.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The folder of each converted checkpoint, by its name."""
    folders = {}
    for config in sorted((GOLDEN / "checkpoints").glob("*/config.json")):
        if json.loads(config.read_text())["model_type"] != "esm":
            continue
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


@pytest.mark.parametrize("case", cases_of("esm_lucaonetasks", "esm_segments"))
def test_matrices_and_vectors_of_lucaonetasks(case, encoders, arrays):
    stated = {"truncation_seq_length": 4094, "embedding_complete": False, **case["options"]}
    outputs = ("cls",) if stated.pop("embedding_type", "matrix") == "vector" else ("matrix",)
    engine = Engine(
        encoders[case["checkpoint"]], EmbeddingOptions(outputs=outputs, **stated), torch.device("cpu"), 1000
    )
    residues = "".join(letter for letter in case["sequence"].upper() if letter in KEPT)
    sequence = NormalisedSequence("0" * 64, "prot", residues)
    if outputs == ("matrix",):
        (found,) = engine.matrices([sequence])
    else:
        (batch,) = engine.embed([sequence])
        (found,) = batch.vectors["cls"]
    np.testing.assert_allclose(found, arrays[case["array"]], **TOLERANCE)


def test_files_in_parts_with_frequencies_once_are_the_same_network(encoders, converted):
    if "E2-sharded" not in encoders:
        pytest.skip(f"{GOLDEN} has no E2-sharded")
    protein = "MKTAYIAKQRQISFVKSHFSRQLEERLG"
    whole, parts = (lucaflow.embed(encoders[name], protein, "prot", "matrix") for name in ("E2", "E2-sharded"))
    np.testing.assert_array_equal(whole, parts)
    records = [json.loads((converted[name] / "checkpoint.json").read_text()) for name in ("E2", "E2-sharded")]
    assert records[0]["network_sha256"] == records[1]["network_sha256"]


def test_packed_sequences_have_the_values_of_single_ones(encoders):
    proteins = {"a": "MKTAYIAKQRQISFVKSHFSRQ", "b": "MKTAYIAKQRQISFVKSHFSRW", "c": "GIVEQCCTSI", "d": "M"}
    for encoder in encoders.values():
        together = lucaflow.embed(encoder, proteins, "prot", ["mean", "max", "cls", "matrix"])
        for name, protein in proteins.items():
            for output, found in lucaflow.embed(encoder, protein, "prot", ["mean", "max", "cls", "matrix"]).items():
                np.testing.assert_allclose(together[name][output], found, **TOLERANCE)


def test_genes_are_refused(encoders):
    for encoder in encoders.values():
        with pytest.raises(ConfigError, match="seq_type: this encoder reads only prot sequences, not gene"):
            lucaflow.embed(encoder, "ACGT", "dna")
        engine = Engine(encoder, EmbeddingOptions(), torch.device("cpu"), 1000)
        with pytest.raises(EmbeddingError, match="is of type `gene`, but this checkpoint reads only prot sequences"):
            list(engine.embed([NormalisedSequence("0" * 64, "gene", "ACGT")]))


def test_j_is_read_as_x_so_that_each_residue_has_its_row(encoders):
    for encoder in encoders.values():
        found, expected = (lucaflow.embed(encoder, text, "prot", "matrix") for text in ("MKJV", "MKXV"))
        np.testing.assert_array_equal(found, expected)
        assert len(found) == 4
