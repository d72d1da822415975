"""Hugging Face directories of DNABERT-2, and of networks that only look like it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from golden_cases import PACKAGED
from safetensors.torch import load_file, save_file

import lucaflow
from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError

OWN = Model("ours", None)


@pytest.fixture
def published(tmp_path):
    return shutil.copytree(PACKAGED / "encoders/checkpoints/D1", tmp_path / "published")


def network_of(published, model=OWN):
    return convert(locate(published, model), published.with_name("converted"))["network_sha256"]


def change(path, **changed):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_act": "relu"}, "hidden_act is 'relu', expected 'gelu'. Plain BERT has this model_type too"),
        ({"num_hidden_layers": 3}, "num_hidden_layers is 3, but the weights hold 2 layers"),
        ({"intermediate_size": 96}, r"intermediate_size is 96, but layers.0.fc2.weight has shape \(32, 48\)"),
        ({"hidden_size": "32"}, "hidden_size is '32', expected a value like 768"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5, but hidden_size 32 does not divide into so many heads"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0, expected 1 or more"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps is 0.0, expected a positive number"),
        ({"vocab_size": 65}, "tokenizer.json has 64 tokens, but the network has a table of 65 tokens"),
    ],
    ids=str,
)
def test_what_is_not_dnabert2_is_refused_by_name(published, changed, said):
    change(published / "config.json", **changed)
    wrong = rf"config\.json does not (describe a DNABERT-2 model|fit its weights): {said}"
    with pytest.raises(CheckpointError, match=wrong):
        network_of(published)


def test_a_plain_bert_is_refused_by_name(published):
    weights = load_file(published / "model.safetensors")
    name = "bert.encoder.layer.0.attention.self.{}.weight"
    weights[name.format("query")] = weights.pop(name.format("Wqkv"))[:32].clone()
    save_file(weights, published / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"those of a DNABERT-2: .*query\.weight is part of a plain BERT"):
        network_of(published)


def test_without_its_tokenizer_it_is_refused(published):
    (published / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"there is no tokenizer\.json beside it, .*\. Plain BERT has this"):
        network_of(published)


def test_the_tokenizer_is_part_of_the_network(published):
    """Its content, not how it is written; a folder is converted again if it changes."""
    before = network_of(published)
    path = published / "tokenizer.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content, indent=2))
    assert network_of(published) == before
    content["model"]["merges"][0], content["model"]["merges"][1] = content["model"]["merges"][1::-1]
    path.write_text(json.dumps(content))
    assert network_of(published) != before
    assert {name.rpartition("/")[2] for name in read_record(published.with_name("converted"))["origin"]} == {
        "config.json", "model.safetensors", "tokenizer.json",
    }  # fmt: skip


def as_pickle(published):
    torch.save(load_file(published / "model.safetensors"), published / "pytorch_model.bin")
    (published / "model.safetensors").unlink()


def without_heads(published):
    weights = load_file(published / "model.safetensors")
    kept = {name.removeprefix("bert."): value for name, value in weights.items() if not name.startswith("cls.")}
    save_file(kept, published / "model.safetensors")


@pytest.mark.parametrize("written", [as_pickle, without_heads])
def test_forms_of_one_network(published, written):
    before = network_of(published)
    written(published)
    assert network_of(published) == before


def test_a_name_says_the_family(published):
    with pytest.raises(CheckpointError, match="describes a DNABERT-2 model, but lucaone-1 is of another family"):
        network_of(published, Model("lucaone", 1))


def test_rows_are_tokens_with_their_letters(published):
    network_of(published)
    encoder = load_encoder(published.with_name("converted"))
    found = lucaflow.embed(encoder, "ACGTNNUGGCC", "dna", ["matrix", "mean", "max", "spans"])
    assert found.keys() == {"matrix", "mean", "max", "spans"}
    assert found["spans"].tolist() == [[0, 1], [1, 3], [3, 4], [4, 5], [5, 6], [6, 7], [7, 11]]
    np.testing.assert_allclose(found["mean"], found["matrix"].mean(0), atol=1e-6)
    np.testing.assert_array_equal(found["max"], found["matrix"].max(0))
    np.testing.assert_array_equal(lucaflow.embed(encoder, "ACGTNNTGGCC", "rna", "matrix"), found["matrix"])
