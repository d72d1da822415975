"""A converted checkpoint is loaded with the values of the published one."""

import pytest
import torch
from golden_cases import PACKAGED

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.errors import DeviceError


def test_a_stored_table_of_frequencies_is_used(tmp_path):
    """T2 was saved with frequencies rounded to half precision."""
    model = Model("lucaone-gene", 36800000)
    convert(locate(PACKAGED / "embedding/checkpoints/T2", model), tmp_path)
    inv_freq = load_encoder(tmp_path).layers[0].self_attn.inv_freq
    nominal = 10000.0 ** (-torch.arange(len(inv_freq)) / len(inv_freq))
    assert torch.equal(inv_freq, nominal.half().float())
    assert not torch.equal(inv_freq, nominal)


def test_layers_with_equal_frequencies_share_them(tmp_path):
    model = Model("lucaone-gene", 36800000)
    convert(locate(PACKAGED / "embedding/checkpoints/T2", model), tmp_path)
    first, *others = (layer.self_attn.inv_freq for layer in load_encoder(tmp_path).layers)
    assert others
    assert all(inv_freq is first for inv_freq in others)


def test_a_device_that_is_no_processor_or_nvidias_is_refused_by_name(tmp_path):
    with pytest.raises(DeviceError, match="the device is `mps`, expected `cpu`, `cuda`"):
        load_encoder(tmp_path, "mps")
