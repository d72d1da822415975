"""The files of a checkpoint are found, or the error names the missing ones and the available steps."""

import json

import pytest
from golden_cases import PACKAGED

from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError

T1 = PACKAGED / "embedding/checkpoints/T1"
MODEL = Model("lucaone", 36000000)


@pytest.mark.parametrize("content", [{}, {"weight_map": {"x": "../../etc/passwd"}}, {"weight_map": {"x": "none"}}])
def test_a_broken_index(tmp_path, content):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError):
        locate(tmp_path, MODEL)


def test_what_is_there_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="there is no directory"):
        locate(tmp_path / "nowhere", MODEL)
    with pytest.raises(CheckpointError, match=r"no weights in .* It holds: nothing"):
        locate(tmp_path, MODEL)
    with pytest.raises(CheckpointError, match="Available for lucaone: checkpoint-step36000000"):
        locate(T1, Model("lucaone", 17600000))
