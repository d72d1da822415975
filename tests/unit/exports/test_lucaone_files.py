"""The files of LucaOneApp: their size and how they are pickled. Their values are compared in tests/workflow."""

from __future__ import annotations

import pickletools
import zipfile

import numpy as np
import pytest
import torch

from lucaflow.exports.lucaone_files import _save

VALUES = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)


@pytest.mark.parametrize("values", [VALUES, torch.from_numpy(VALUES)], ids=["array", "tensor"])
def test_a_file_is_as_large_as_its_values(tmp_path, values):
    """As the estimate of space says. Pickled as text, they took half as much again, and no more than 4 GiB."""
    path = tmp_path / "matrix_x.pt"
    _save(values, path)
    assert path.stat().st_size < VALUES.nbytes + 4096
    found = torch.load(path, weights_only=isinstance(values, torch.Tensor))
    assert (type(found), found.dtype) == (type(values), values.dtype)
    np.testing.assert_array_equal(found, values)


def test_an_array_may_have_more_than_4_gib(tmp_path):
    """Protocol 4 is the first that can write its length. The array can be written to, as before."""
    path = tmp_path / "matrix_x.pt"
    _save(VALUES, path)
    with zipfile.ZipFile(path) as packed:
        pickled = packed.read(next(name for name in packed.namelist() if name.endswith("data.pkl")))
    assert next(pickletools.genops(pickled))[1] == 4
    assert torch.load(path, weights_only=False).flags.writeable
