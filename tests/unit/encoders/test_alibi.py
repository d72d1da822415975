"""Attention with linear biases, against the plain form that stores them all."""

from __future__ import annotations

import pytest
import torch

from lucaflow.encoders.alibi import (
    attend_biased,
    attend_in_blocks,
    biases_of_reversed,
    distances,
    slopes_of,
)


def test_slopes_of_twelve_heads_are_out_of_order():
    expected = [2.0**-power for power in range(1, 9)] + [0.70711, 0.35355, 0.17678, 0.08839]
    assert slopes_of(12) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("length", [1, 2, 17, 50])
def test_the_view_has_the_biases_of_all_pairs(length):
    """A line for longer sequences serves, and the view takes no memory of its own."""
    line = distances(12, 50, torch.device("cpu"))
    view = biases_of_reversed(line, length)
    places = torch.arange(length)
    expected = -torch.tensor(slopes_of(12))[:, None, None] * (places[:, None] - places).abs()
    torch.testing.assert_close(view.flip(1), expected, rtol=0, atol=0)
    assert view.untyped_storage().data_ptr() == line.untyped_storage().data_ptr()


@pytest.mark.parametrize("numbers", [1, 12 * 32 * 5, 10**6])
@pytest.mark.parametrize("size", [4, 6])
def test_blocks_of_queries_give_the_plain_result(numbers, size):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 12, 31, size)
    biases = biases_of_reversed(distances(12, 40, torch.device("cpu")), 31)
    expected = ((q @ k.transpose(-1, -2)) * size**-0.5 + biases.flip(1)).softmax(-1) @ v
    torch.testing.assert_close(attend_biased(q, k, v, biases), expected)
    torch.testing.assert_close(attend_in_blocks(q.flip(2), k, v, biases, numbers).flip(2), expected)
