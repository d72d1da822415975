"""The usual way with padding, which the benchmark compares with, gives the engine's values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_cases import PACKAGED
from plain_padded import PaddedDnabert2, PaddedEsm2
from safetensors.torch import load_file

import lucaflow
from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model

SEQUENCES = {
    "prot": ["MKTAYIAKQRQISFVKSHFSRQ", "MKTAYIAKQRQ", "GIVEQCCTSI", "M"],
    "gene": ["ACGTAGCATCGGATCTATCTATTTGACAGCTAGC", "TTGACAGCTAGCTCAGTCCTAG", "ACGNNUACRY", "A"],
}


@pytest.mark.parametrize(("name", "seq_type", "padded"), [("E2", "prot", PaddedEsm2), ("D2", "gene", PaddedDnabert2)])
def test_means_of_padded_batches(tmp_path, name, seq_type, padded):
    folder = tmp_path / "converted"
    convert(locate(PACKAGED / "encoders/checkpoints" / name, Model("ours", None)), folder)
    encoder = load_encoder(folder)
    tokens = [torch.from_numpy(encoder.vocabulary.encode(text, seq_type)).long() for text in SEQUENCES[seq_type]]
    plain = padded(encoder.config, load_file(folder / "model.safetensors"))
    expected = [lucaflow.embed(encoder, text, seq_type, "mean") for text in SEQUENCES[seq_type]]
    np.testing.assert_allclose(torch.stack(plain.means(tokens, pad=1)), np.stack(expected), atol=2e-5, rtol=1e-5)
