"""Packed products give the numbers of torch's own linear layers, and what gives fewer digits is refused."""

import platform

import pytest
import torch
from torch import nn

from lucaflow.encoders import onednn as products
from lucaflow.encoders.lucaone import EncoderConfig, LucaOne
from lucaflow.encoders.onednn import PackedLinear, can_pack, check_product_precision, has_bfloat16, pack
from lucaflow.errors import DeviceError

IS_X86 = platform.machine() in ("x86_64", "AMD64")
only_x86 = pytest.mark.skipif(not IS_X86, reason="oneDNN's packed products are for x86 processors")


def test_an_x86_processor_packs_and_another_does_not():
    assert can_pack() == IS_X86


def test_what_linux_says_of_bfloat16_is_what_the_processor_says():
    said = torch.cpu.get_capabilities()
    assert has_bfloat16() == any(said.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Linear(512, 2048).requires_grad_(False)


@only_x86
@pytest.mark.parametrize("rows", [1, 17, 2000])
@pytest.mark.parametrize("activation", ["none", "gelu"])
def test_float32(linear, rows, activation):
    x = torch.randn(rows, 512)
    exact = linear.double()(x.double())
    expected = nn.functional.gelu(exact) if activation == "gelu" else exact
    found = PackedLinear(linear.float(), activation)(x)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-5


@only_x86
@pytest.mark.parametrize("instructions", [True, False])
def test_bfloat16_is_rounded_once_whatever_the_processor_has(linear, instructions, monkeypatch):
    """torch emulates the instructions where a processor has none, so that both ways can be compared anywhere."""
    monkeypatch.setattr(products, "has_bfloat16", lambda: instructions)
    linear = linear.to(torch.bfloat16)
    x = torch.randn(300, 512).to(torch.bfloat16)
    exact = linear.double()(x.double())
    found = PackedLinear(linear.to(torch.bfloat16))(x)
    assert found.dtype == torch.bfloat16
    # A bfloat16 number has 8 significant bits: rounding once moves it by at most 2^-8 of itself.
    assert ((found.double() - exact).abs() <= 2**-7.99 * exact.abs() + 1e-5).all()


@only_x86
def test_a_product_with_fewer_digits_is_refused(linear):
    check_product_precision(linear, PackedLinear(linear))
    check_product_precision(linear, linear)

    def rounded(x):
        return linear(x.to(torch.bfloat16).float())

    with pytest.raises(DeviceError, match=r"off by 0\.00\d+ of their largest value, expected less than 1e-05"):
        check_product_precision(linear, rounded)


@only_x86
def test_a_whole_block():
    torch.manual_seed(0)
    network = LucaOne(EncoderConfig(10, 2, 1, 64, 4, no_position_embeddings=True, use_embed_layer_norm=False)).eval()
    torch.nn.init.normal_(network.embed_tokens.weight)
    torch.nn.init.normal_(network.embed_type.weight)
    network.layers[0].self_attn.inv_freq = torch.ones(8)
    ids, types = torch.arange(30) % 39, torch.zeros(30, dtype=torch.int64)
    with torch.inference_mode():
        expected = network(ids, types, [10, 10, 7, 3])
        pack(network.layers[0])
        found = network(ids, types, [10, 10, 7, 3])
    assert (found - expected).abs().max() < 1e-5
