"""The network itself, against direct calls of LucaOne's model class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, TOLERANCE, GoldenCheckpoint

from lucaflow.conversion import expected_shapes, load_contact_head
from lucaflow.encoder import EncoderConfig

NAMES = ("batch-padded", "batch-attention-mask", "mask-tokens", "layers", "contacts")


def forward_cases(manifest):
    return {case["id"]: case for case in manifest["cases"] if case["entry"] == "forward"}


def tensors(case):
    inputs = case["inputs"]
    ids = torch.tensor(inputs["input_ids"])
    types = torch.tensor(inputs["token_type_ids"]) if inputs["token_type_ids"] else torch.zeros_like(ids)
    lengths = torch.tensor(inputs.get("valid_lengths", [ids.shape[1]] * len(ids)))
    return ids, types, lengths


def computed(name, checkpoint, case, shape):
    ids, types, lengths = tensors(case)
    encoder = checkpoint.encoder
    if name == "contacts":
        hidden, contacts = load_contact_head(checkpoint.folder)(encoder, ids, types)
        np.testing.assert_allclose(hidden, encoder(ids, types, lengths), atol=1e-5)
        return contacts
    if name == "attentions":
        maps = []
        encoder(ids, types, lengths, attention_to=lambda probabilities: maps.append(probabilities[0]))
        return torch.stack(maps)
    if name == "layer_inputs":
        return torch.stack([encoder(ids, types, lengths, layer=layer)[0] for layer in range(shape[0])])
    return encoder(ids, types, lengths)


def test_every_forward_case(manifest, golden_checkpoints):
    cases = forward_cases(manifest)
    assert len(cases) == 22
    for case in cases.values():
        checkpoint: GoldenCheckpoint = golden_checkpoints[case["checkpoint"]]
        for output in case["outputs"]:
            expected = checkpoint.arrays[output["array"]]
            found = computed(output["name"], checkpoint, case, expected.shape).numpy()
            for row, length in enumerate(case["inputs"].get("valid_lengths", [])):
                np.testing.assert_allclose(found[row, :length], expected[row, :length], **TOLERANCE, err_msg=case["id"])
            if "valid_lengths" not in case["inputs"]:
                np.testing.assert_allclose(found, expected, **TOLERANCE, err_msg=case["id"])


@pytest.mark.parametrize("name", ["T1", "T2", "T3", "T4", "T5"])
def test_padded_equals_alone(name, manifest, golden_checkpoints):
    encoder = golden_checkpoints[name].encoder
    ids, types, lengths = tensors(forward_cases(manifest)[f"{name}/forward/batch-padded"])
    together = encoder(ids, types, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = encoder(ids[row : row + 1, :length], types[row : row + 1, :length], lengths[row : row + 1])
        np.testing.assert_allclose(together[row, :length].numpy(), alone[0].numpy(), atol=1e-5, rtol=0)


def test_full_size_checkpoint_has_the_tensors_that_are_expected():
    config = EncoderConfig(
        num_hidden_layers=20,
        hidden_size=2560,
        num_attention_heads=40,
        no_position_embeddings=True,
        use_embed_layer_norm=False,
    )
    lines = (GOLDEN / "state_dict_keys.txt").read_text().splitlines()
    recorded = {line.split()[1]: line.split("  ")[2] for line in lines if line.startswith("E  ")}
    assert {name: str(shape) for name, shape in expected_shapes(config).items()} == recorded
    assert sum(np.prod(shape) for shape in expected_shapes(config).values()) == 1573640320
