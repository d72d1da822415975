"""The network itself, against direct calls of LucaOne's model class."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, IS_PACKAGED, PACKAGED, TOLERANCE, GoldenCheckpoint, forward_cases, packed, tensors
from plain_lucaone import PlainLucaOne
from safetensors.torch import load_file

from lucaflow.checkpoints.architecture import expected_shapes
from lucaflow.checkpoints.converted_checkpoint import MODEL_NAME
from lucaflow.checkpoints.loading import load_contact_head
from lucaflow.encoders.lucaone import EncoderConfig, LucaOne

OF_ONE_SEQUENCE = ("contacts", "attentions", "layer_inputs")


def computed(name, checkpoint, case, shape):
    """Return a result for each row of the batch."""
    ids, types, lengths = packed(*tensors(case))
    encoder = checkpoint.encoder
    if name == "contacts":
        hidden, contacts = load_contact_head(checkpoint.folder)(encoder, ids, types)
        np.testing.assert_allclose(hidden, encoder(ids, types, lengths), atol=1e-5)
        return [contacts]
    if name == "attentions":
        maps = []
        encoder(ids, types, lengths, on_attention=lambda probabilities: maps.append(probabilities[0]))
        return [torch.stack(maps)]
    if name == "layer_inputs":
        return [torch.stack([encoder(ids, types, lengths, layer=layer) for layer in range(shape[0])])]
    return encoder(ids, types, lengths).split(lengths)


def test_every_forward_case(manifest, golden_checkpoints):
    cases = forward_cases(manifest)
    assert len(cases) == 22 or not IS_PACKAGED
    for case in cases.values():
        checkpoint: GoldenCheckpoint = golden_checkpoints[case["checkpoint"]]
        for output in case["outputs"]:
            expected = checkpoint.arrays[output["array"]]
            found = computed(output["name"], checkpoint, case, expected.shape)
            rows = [expected] if output["name"] in OF_ONE_SEQUENCE else expected
            for row, values in zip(rows, found, strict=True):
                np.testing.assert_allclose(values, row[: len(values)], **TOLERANCE, err_msg=case["id"])


@pytest.mark.parametrize("name", json.loads((GOLDEN / "manifest.json").read_text())["checkpoints"])
def test_packed_equals_padded_equals_alone(name, manifest, golden_checkpoints):
    checkpoint = golden_checkpoints[name]
    case = forward_cases(manifest).get(f"{name}/forward/batch-padded")
    assert case or not IS_PACKAGED
    if not case:
        pytest.skip("not recorded")
    ids, types, lengths = tensors(case)
    together = checkpoint.encoder(*packed(ids, types, lengths)).split(lengths)
    padded, _ = plain(checkpoint)(ids, types)
    for row, length in enumerate(lengths):
        alone = checkpoint.encoder(ids[row, :length], types[row, :length], [length])
        np.testing.assert_allclose(together[row], alone, atol=1e-5, rtol=0)
        np.testing.assert_allclose(together[row], padded[row, :length], atol=1e-5, rtol=0)


def plain(checkpoint):
    """Return the network written down plainly, with the same weights."""
    return PlainLucaOne(checkpoint.encoder.config, load_file(checkpoint.folder / MODEL_NAME))


def test_full_size_checkpoint_has_the_tensors_that_are_expected():
    config = EncoderConfig(
        num_hidden_layers=20,
        hidden_size=2560,
        num_attention_heads=40,
        no_position_embeddings=True,
        use_embed_layer_norm=False,
    )
    lines = (PACKAGED / "embedding/state_dict_keys.txt").read_text().splitlines()
    recorded = {line.split()[1]: line.split("  ")[2] for line in lines if line.startswith("E  ")}
    assert {name: str(shape) for name, shape in expected_shapes(LucaOne, config).items()} == recorded
    assert sum(np.prod(shape) for shape in expected_shapes(LucaOne, config).values()) == 1573640320
