"""The files of a checkpoint are found, or the error names the missing ones and the available steps."""

import json

import pytest
from golden_cases import PACKAGED

from lucaflow.checkpoints.layouts import locate, locate_own
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


def test_what_a_directory_by_name_holds_is_read_from_its_files(tmp_path):
    """Below llm/models/ there must be one checkpoint, unless the name says which."""
    ours, folder = Model("ours", None), tmp_path / "llm/models/lucaone/lucaone/checkpoint-step36000000"
    (there,) = (T1 / "llm").rglob("pytorch.pth")
    assert locate_own(T1, ours).weights == locate_own(there.parent, ours).weights == (there,)
    folder.mkdir(parents=True)
    for name in ("config.json", "pytorch.pth"):
        (folder / name).write_text("{}")
    assert locate_own(folder, MODEL).config == folder / "config.json"
    other = folder.with_name("checkpoint-step17600000")
    folder.rename(other)
    with pytest.raises(CheckpointError, match="Available for lucaone: checkpoint-step17600000"):
        locate_own(tmp_path, MODEL)
    folder.mkdir()
    (folder / "pytorch.pth").touch()
    with pytest.raises(CheckpointError, match=r"ours: expected one checkpoint in .*17600000.*36000000"):
        locate_own(tmp_path, ours)
    with pytest.raises(CheckpointError, match="there is no directory"):
        locate_own(tmp_path / "nowhere", ours)
