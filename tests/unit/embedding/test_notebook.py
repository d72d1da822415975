"""`embed` in a notebook gives the workflow's values, whatever precision a user has set in torch."""

from __future__ import annotations

import pytest
import torch
from small_network import network

from lucaflow.embedding.notebook import embed
from lucaflow.encoders.lucaone import LucaOne


@pytest.mark.parametrize("choice", ["highest", "high", "medium"])
def test_a_users_precision_of_products_is_set_aside_and_restored(monkeypatch, choice):
    encoder, forward, seen = network(torch.device("cpu")), LucaOne.forward, []

    def observed(self, *arguments, **named):
        seen.append((torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.fp32_precision))
        return forward(self, *arguments, **named)

    monkeypatch.setattr(LucaOne, "forward", observed)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(choice)
    try:
        embed(encoder, {"a": "MKVLAW"}, "prot")
        assert seen == [("highest", "ieee")]
        assert torch.get_float32_matmul_precision() == choice
    finally:
        torch.set_float32_matmul_precision(before)
