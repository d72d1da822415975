"""Encoders in Hugging Face directories of LucaOne give what its port recorded, whatever head is beside them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from golden_cases import golden_folder
from recorded_encoders import LOGITS, classified, published_tensors
from torch import Tensor

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder, load_language_model_head
from lucaflow.checkpoints.model import Model

GOLDEN = golden_folder("language_model")
CASES = json.loads((GOLDEN / "hf_manifest.json").read_text())


def cases_of(kind):
    found = [case for case in CASES if case["kind"] == kind]
    there = [case for case in found if (GOLDEN / "checkpoints" / case["checkpoint"]).is_dir()]
    return [pytest.param(case, id=f"{case['name']}-{case['logits']}") for case in there]


@pytest.fixture(scope="module")
def arrays():
    with np.load(GOLDEN / "hf.npz") as file:
        return dict(file)


def hidden_states(case, tmp_path) -> tuple[Tensor, dict[str, Tensor]]:
    """Convert a case's encoder into a folder; return its last hidden states (L + 2, H), and all published tensors."""
    published, model = GOLDEN / "checkpoints" / case["checkpoint"], Model("ours", None)
    record = convert(locate(published, model), tmp_path)
    assert {*record["left_out"]} <= {"classifier", "pooler", "loss_fct"}
    assert bool(record["left_out"]) == ("reason" in record["language_model_head"]), "each of them has one head"
    encoder = load_encoder(tmp_path)
    ids = torch.from_numpy(encoder.vocabulary.encode(case["sequence"], case["seq_type"]))
    ids[[1 + position for position in case.get("masked", [])]] = encoder.vocabulary.mask_id
    types = torch.full_like(ids, encoder.vocabulary.token_types[case["seq_type"]])
    return encoder(ids, types, [len(ids)]), published_tensors(published)


@pytest.mark.parametrize("case", cases_of("hf_mlm"))
def test_masked_language_models(case, arrays, tmp_path):
    """Token_dropout does nothing in this port, also where config.json says true."""
    x, _ = hidden_states(case, tmp_path)
    found = load_language_model_head(tmp_path)(x)
    np.testing.assert_allclose(found.numpy(), arrays[case["logits"]], **LOGITS)


@pytest.mark.parametrize("case", [*cases_of("hf_token"), *cases_of("hf_sequence")])
def test_classification_models(case, arrays, tmp_path):
    """Sequences are pooled as LucaOneTasks pools matrices; its name of the first row differs."""
    x, state = hidden_states(case, tmp_path)
    found = classified(case, x, state)
    np.testing.assert_allclose(found.squeeze(), arrays[case["logits"]].squeeze(), **LOGITS)
