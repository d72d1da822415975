"""Files that hold no state dict are refused."""

import pytest

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError


def test_a_safetensors_file_that_is_none(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match="is damaged"):
        convert(locate(tmp_path, Model("lucaone", 36000000)), tmp_path / "out")
