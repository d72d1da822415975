"""Encoders in Hugging Face directories of LucaOne give what its port recorded, whatever head is beside them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from golden_cases import golden_folder
from recorded_encoders import LOGITS, classified, language_logits, published_tensors
from torch import Tensor

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model

GOLDEN = golden_folder("language_model")
CASES = json.loads((GOLDEN / "hf_manifest.json").read_text())


def cases_of(kind, **wanted):
    found = [case for case in CASES if case["kind"] == kind and wanted.items() <= case.items()]
    there = [case for case in found if (GOLDEN / "checkpoints" / case["checkpoint"]).is_dir()]
    return [pytest.param(case, id=f"{case['name']}-{case['logits']}") for case in there]


@pytest.fixture(scope="module")
def arrays():
    with np.load(GOLDEN / "hf.npz") as file:
        return dict(file)


def hidden_states(case, tmp_path) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the last hidden states (L + 2, H) of a case's encoder, and all tensors of its directory."""
    published, model = GOLDEN / "checkpoints" / case["checkpoint"], Model("ours", None)
    record = convert(locate(published, model), tmp_path)
    assert {*record["left_out"]} <= {"lm_head", "classifier", "pooler", "loss_fct"}
    assert record["left_out"], "each of these directories has a head"
    encoder = load_encoder(tmp_path)
    ids = torch.from_numpy(encoder.vocabulary.encode(case["sequence"], case["seq_type"]))
    ids[[1 + position for position in case.get("masked", [])]] = encoder.vocabulary.mask_id
    types = torch.full_like(ids, encoder.vocabulary.token_types[case["seq_type"]])
    return encoder(ids, types, [len(ids)]), published_tensors(published)


@pytest.mark.parametrize("case", cases_of("hf_mlm"))
def test_masked_language_models(case, arrays, tmp_path):
    """Token_dropout does nothing in this port, also where config.json says true."""
    x, state = hidden_states(case, tmp_path)
    np.testing.assert_allclose(language_logits(x, state), arrays[case["logits"]], **LOGITS)


@pytest.mark.parametrize(
    "case", [*cases_of("hf_token"), *cases_of("hf_sequence", pooling="cls"), *cases_of("hf_sequence", pooling="mean")]
)
def test_classification_models(case, arrays, tmp_path):
    x, state = hidden_states(case, tmp_path)
    found = classified(case, x, state)
    np.testing.assert_allclose(found.squeeze(), arrays[case["logits"]].squeeze(), **LOGITS)
