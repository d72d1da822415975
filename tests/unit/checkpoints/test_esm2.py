"""Hugging Face directories of ESM-2, and of networks that only look like it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from golden_cases import PACKAGED
from safetensors.torch import load_file, save_file

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError

E1 = PACKAGED / "encoders/checkpoints/E1"
OWN = Model("ours", None)


@pytest.fixture
def published(tmp_path):
    return shutil.copytree(E1, tmp_path / "published")


def network_of(published, model=OWN):
    return convert(locate(published, model), published.with_name("converted"))["network_sha256"]


def change_tensors(published, changed):
    """Write other tensors. changed: a function of the tensors by name."""
    save_file(changed(load_file(published / "model.safetensors")), published / "model.safetensors")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"vocab_size": 4107}, "vocab_size is 4107, expected 33. ESM-1b, ESMFold and the Nucleotide Transformer have"),
        ({"position_embedding_type": "absolute"}, "position_embedding_type is 'absolute', expected 'rotary'"),
        ({"is_folding_model": True}, "is_folding_model is True, expected False"),
        ({"emb_layer_norm_before": True}, "emb_layer_norm_before is True"),
        ({"token_dropout": False}, "token_dropout is False, expected True"),
        ({"layer_norm_eps": 1e-12}, "layer_norm_eps is 1e-12, expected 1e-05"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', expected 'gelu'"),
        ({"vocab_list": ["A", "B"]}, r"vocab_list is \['A', 'B'\]"),
        ({"intermediate_size": 64}, "intermediate_size is 64, expected 128"),
        ({"num_hidden_layers": 3}, "num_hidden_layers is 3, but the weights hold 2 layers"),
        ({"num_attention_heads": 8}, "num_attention_heads is 8, but .* as for 4 heads"),
        ({"num_attention_heads": "4"}, "num_attention_heads is '4', expected a whole number"),
        ({"hidden_size": None}, "hidden_size is None, expected a whole number"),
    ],
    ids=str,
)
def test_what_is_not_esm2_is_refused_by_name(published, changed, said):
    config = published / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changed}))
    wrong = rf"config\.json does not (describe an ESM-2 model|fit its weights): {said}"
    with pytest.raises(CheckpointError, match=wrong):
        network_of(published)


def test_other_letters_are_refused(published):
    (published / "vocab.txt").write_text("<cls>\n<pad>\nA\n")
    with pytest.raises(CheckpointError, match=r"vocab\.txt beside it has 3 tokens, and they are not the 33 of ESM-2"):
        network_of(published)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda state: {key.removeprefix("esm."): value for key, value in state.items()}, id="bare model"),
        pytest.param(
            lambda state: {key: value for key, value in state.items() if not key.startswith("lm_head.")}, id="no head"
        ),
        pytest.param(
            lambda state: {
                **{key: value for key, value in state.items() if "inv_freq" not in key},
                "esm.encoder.rotary_embeddings.inv_freq": state[
                    "esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq"
                ],
            },
            id="frequencies once",
        ),
        pytest.param(lambda state: {**state, "classifier.dense.weight": torch.ones(2, 2)}, id="another head"),
    ],
)
def test_forms_of_one_network(published, changed):
    before = network_of(published)
    change_tensors(published, changed)
    assert network_of(published) == before


def test_frequencies_are_never_made_up(published):
    change_tensors(published, lambda state: {key: value for key, value in state.items() if "inv_freq" not in key})
    with pytest.raises(CheckpointError, match=r"self_attn\.rot_emb\.inv_freq is missing"):
        network_of(published)


def test_a_name_says_the_family(published):
    with pytest.raises(CheckpointError, match="describes an ESM-2 model, but lucaone-1 is of another family, lucaone"):
        network_of(published, Model("lucaone", 1))
    network_of(published, Model("esm2_t6_8M_UR50D", None))
    record = read_record(published.with_name("converted"))
    assert (record["family"], record["contact_head"], record["llm_step"]) == ("esm2", True, None)
