"""Predictions where memory is short."""

from __future__ import annotations

import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lucaflow.downstream.prediction import Predictor
from lucaflow.errors import DeviceError


class ShortOfMemory(nn.Module):
    """A downstream model whose tower has memory for two sequences, and none for those that it had before."""

    def __init__(self) -> None:
        super().__init__()
        self.structure = SimpleNamespace(outputs=1)
        self.towers = [self.tower]
        self.refused: list[weakref.ref[torch.Tensor]] = []
        self.sizes: list[int] = []

    def tower(self, rows, lengths):
        assert all(refused() is None for refused in self.refused)
        self.sizes.append(len(lengths))
        if len(lengths) > 2:
            self.refused.append(weakref.ref(rows))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.stack([part.sum(0) for part in rows.split(lengths)])


def test_rows_that_did_not_fit_are_free_when_their_halves_are_computed():
    head = ShortOfMemory()
    matrices = [np.full((length, 2), length, dtype=np.float32) for length in (4, 3, 2, 2, 1)]
    found = Predictor(head, torch.device("cpu")).vectors(0, matrices)
    assert head.sizes == [5, 2, 3, 1, 2]
    np.testing.assert_array_equal(found, [matrix.sum(0) for matrix in matrices])


def test_an_embedding_that_does_not_fit_alone_is_an_error(monkeypatch):
    head = ShortOfMemory()
    monkeypatch.setattr(head, "towers", [lambda *_: torch.empty(10**18)])
    with pytest.raises(DeviceError, match=r"of 4 rows does not fit into this machine's memory\. Give the job more"):
        Predictor(head, torch.device("cpu")).vectors(0, [np.ones((4, 2), dtype=np.float32)])
