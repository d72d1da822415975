"""Attention for GPUs: other forms of the same computation give the same numbers, and the choice of a form is right."""

from __future__ import annotations

import inspect
from functools import partial

import pytest
import torch
from torch.nn.attention import varlen

from lucaflow.encoders import pass_plan
from lucaflow.encoders.arithmetic import arithmetic, set_arithmetic
from lucaflow.encoders.attention import (
    SelfAttention,
    attend,
    attend_padded,
    attend_with_probabilities,
    rotate_,
    rotate_at_once_,
    share_frequencies,
    within_offsets,
)
from lucaflow.encoders.pass_plan import (
    PassPlan,
    attends_at_once,
    feed_forward_rows,
    has_one_call,
    refuse_other_devices,
    rotary_angles,
)
from lucaflow.errors import DeviceError

CPU = torch.device("cpu")
LENGTHS = [30, 30, 30, 17, 9, 9, 3]


def plainly_rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate x (n, m, d) in eight operations, each with a result of its own."""
    a, b = (half.float() for half in x.chunk(2, dim=-1))
    cos, sin = cos[:, None], sin[:, None]
    rotated = torch.addcmul(a * cos, b, sin, value=-1), torch.addcmul(b * cos, a, sin)
    return torch.cat(rotated, dim=-1).to(x.dtype)


@pytest.mark.parametrize("rotate", [rotate_, rotate_at_once_])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [6, 32, 64])
def test_the_rotation_of_all_sequences_at_once_has_the_bits_of_the_plain_one(rotate, dtype, size):
    """Queries and keys are rotated in place, beside values that stay as they are."""
    torch.manual_seed(0)
    lengths = [200, *LENGTHS]
    inv_freq = 10000.0 ** (-torch.arange(size // 2) / (size // 2))
    projected = torch.randn(sum(lengths), 12, size).to(dtype)
    expected = projected.clone()
    for part in expected.split(lengths):
        part[:, :8] = plainly_rotated(part[:, :8], *rotary_angles(len(part), inv_freq))
    rotate(projected[:, :8], *PassPlan(lengths, CPU, dtype, size).angles(inv_freq))
    assert torch.equal(projected, expected)


def test_layers_with_equal_frequencies_share_their_angles_and_others_do_not():
    plan = PassPlan(LENGTHS, CPU, torch.float32, 8)
    one, other = torch.ones(4), torch.full((4,), 2.0)
    assert plan.angles(one)[0] is plan.angles(one)[0]
    assert not torch.equal(plan.angles(one)[0], plan.angles(other)[0])
    layers = torch.nn.ModuleList(SelfAttention(16, 2) for _ in range(3))
    for layer, inv_freq in zip(layers, (one, one.clone(), other), strict=True):
        layer.inv_freq = inv_freq
    share_frequencies(layers)
    assert [layer.inv_freq is one for layer in layers] == [True, True, False]


@pytest.mark.parametrize("size", [6, 10, 64, 66])
@pytest.mark.parametrize("multiple", [4, 8])
def test_zeros_in_a_head_change_no_result(size, multiple):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 50, size).unbind()
    found = attend_padded(q, k, v, multiple)
    assert found.shape == q.shape
    torch.testing.assert_close(found, attend(q, k, v), atol=1e-6, rtol=0)


def test_long_keys_are_copied_so_that_each_head_is_contiguous():
    """As they are, 20 tokens of 3 * 4 * 8 numbers each span 1,920; in the copy a head spans 160."""
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 20, 3 * 4, 8).transpose(1, 2).chunk(3, dim=1)
    assert within_offsets(k, 1920) is k
    assert within_offsets(k) is k
    copied = within_offsets(k, 1919)
    assert copied.shape[2] * copied.stride(2) == 160
    assert torch.equal(attend(q, copied, within_offsets(v, 1919)), attend(q, k, v))


def test_lucaones_keys_are_copied_from_279_621_residues_on():
    """As the kernel for float32 multiplies: below 2^31. No memory is taken for the shapes."""
    for length, is_copied in ((279_620, False), (279_621, True)):
        k = torch.empty(1, length, 3 * 40, 64, device="meta").transpose(1, 2)[:, 40:80]
        assert (within_offsets(k) is not k) == is_copied


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"capability": (12, 0)}, True),
        ({"capability": (7, 5)}, False),
        ({"capability": None}, False),
        ({"arithmetic": torch.float32}, False),
        ({"head_size": 6}, False),
        ({"head_size": 264}, False),
        ({"runs": 2}, False),
    ],
    ids=str,
)
def test_when_one_call_of_attention_serves_all_sequences(changed, expected):
    usual = {"capability": (9, 0), "arithmetic": torch.bfloat16, "head_size": 64, "runs": 100}
    assert attends_at_once(**{**usual, **changed}) == expected


def test_one_call_of_attention_gets_the_sequences_in_their_places(monkeypatch):
    """Torch has that kernel for GPUs alone; here a loop takes its place, with its arguments."""

    def by_sequence(query, key, value, begin, _, longest, *__, num_splits):
        assert (longest, num_splits, begin.dtype) == (30, 1, torch.int32)
        parts = [x.tensor_split(begin[1:-1].long()) for x in (query, key, value)]
        heads_first = ([part.transpose(0, 1)[None] for part in three] for three in zip(*parts, strict=True))
        return torch.cat([attend(*three)[0].transpose(0, 1) for three in heads_first])

    signature = varlen.varlen_attn
    torch.manual_seed(0)
    attention, x = SelfAttention(32, 4).requires_grad_(False), torch.randn(sum(LENGTHS), 32)
    attention.inv_freq = torch.ones(4)
    expected = attention(x, PassPlan(LENGTHS, CPU, torch.float32, 8))
    monkeypatch.setattr(pass_plan, "attends_at_once", lambda *_: True)
    monkeypatch.setattr(varlen, "varlen_attn", by_sequence)
    found = attention(x, PassPlan(LENGTHS, CPU, torch.float32, 8))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    # The real function takes these arguments.
    inspect.signature(signature).bind(x, x, x, x, x, 30, 30, num_splits=1)


@pytest.mark.parametrize(
    ("function", "expected"),
    [(lambda q, num_splits=None: (q, num_splits), True), (lambda q: q, False)],
    ids=["with", "without"],
)
def test_one_call_of_attention_needs_a_fixed_number_of_splits(monkeypatch, function, expected):
    """The oldest torch that has this kernel cannot fix it; then each run has its own call."""
    monkeypatch.setattr(varlen, "varlen_attn", function)
    has_one_call.cache_clear()
    try:
        assert has_one_call() == expected
    finally:
        has_one_call.cache_clear()


def test_the_rows_of_the_feed_forward_layer_grow_with_a_gpus_memory():
    assert feed_forward_rows("cpu", 0) == 1024
    assert [feed_forward_rows("cuda", size * 10**9) for size in (12, 24, 42, 150)] == [8192, 8192, 32768, 32768]


@pytest.mark.parametrize("device", ["mps", "xpu", "hip"])
def test_other_devices_are_refused_by_name(device):
    with pytest.raises(DeviceError, match=f"the device is `{device}`, expected `cpu`, `cuda`"):
        refuse_other_devices(torch.device(device))


@pytest.fixture
def settings():
    """Return what reads torch's settings; restore them afterwards."""
    matmul = torch.backends.cuda.matmul

    def read():
        return (
            matmul.fp32_precision,
            torch.backends.mkldnn.matmul.fp32_precision,
            matmul.allow_bf16_reduced_precision_reduction,
            matmul.allow_bf16_reduced_precision_reduction_split_k,
        )

    before = torch.get_float32_matmul_precision(), matmul.allow_bf16_reduced_precision_reduction
    yield read
    torch.set_float32_matmul_precision("highest")
    torch.set_float32_matmul_precision(before[0])
    matmul.allow_bf16_reduced_precision_reduction = before[1]


def test_precisions_set_the_arithmetic(settings):
    set_arithmetic("tfloat32")
    assert settings() == ("tf32", "tf32", False, True)
    set_arithmetic("float32")
    assert settings() == ("ieee", "ieee", False, True)


def set_for_cuda_alone() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"


@pytest.mark.parametrize(
    "users_choice",
    [partial(torch.set_float32_matmul_precision, "high"), partial(torch.set_float32_matmul_precision, "medium"),
     set_for_cuda_alone],
)  # fmt: skip
def test_what_a_user_had_set_is_restored(settings, users_choice):
    users_choice()
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    before = settings()
    with pytest.raises(ZeroDivisionError), arithmetic("float32"):
        assert settings()[:3] == ("ieee", "ieee", False)
        raise ZeroDivisionError
    assert settings() == before


def test_contacts_are_summed_in_float32_whatever_the_precision_is(settings):
    seen = []
    set_arithmetic("tfloat32")
    q, k, v = torch.ones(3, 1, 2, 5, 4).unbind()
    attend_with_probabilities(q, k, v, lambda _: seen.append(settings()[0]))
    assert (seen, settings()[0]) == (["ieee"], "tf32")
