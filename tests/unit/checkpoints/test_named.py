"""A checkpoint is found by its name."""

from __future__ import annotations

import pytest

from lucaflow.checkpoints import named
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, MODEL_NAME
from lucaflow.errors import CheckpointError


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone whose only file is `mini`, and a working directory elsewhere."""
    clone, work = tmp_path / "clone", tmp_path / "work"
    (clone / "resources").mkdir(parents=True)
    (clone / "resources/mini").symlink_to(named._CLONE / "resources/mini")
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(named, "_CLONE", clone)
    return clone


def converted(directory, name):
    folder = directory / "resources/checkpoints" / name
    folder.mkdir(parents=True)
    (folder / CHECKPOINT_RECORD).touch()
    return folder


def test_mini_is_converted_once_into_the_clone(clone):
    folder = named.folder_of("mini")
    assert folder.parent == clone / "resources/checkpoints"
    before = (folder / MODEL_NAME).stat().st_mtime_ns
    assert named.folder_of("mini-1") == folder
    assert (folder / MODEL_NAME).stat().st_mtime_ns == before


def test_mini_in_a_clone_that_cannot_be_written(clone):
    (clone / "resources/checkpoints").touch()
    with pytest.raises(CheckpointError, match=r"cannot be written \(Not a directory\).*Run `snakemake fetch`"):
        named.folder_of("mini")


def test_what_the_workflow_has_converted(clone, tmp_path):
    with pytest.raises(CheckpointError, match=r"one converted checkpoint lucaone-36000000 in .*, found nothing"):
        named.folder_of("lucaone")
    folder = converted(clone, "lucaone-36000000-huggingface")
    assert named.folder_of("lucaone") == named.folder_of("lucaone-36000000") == folder
    converted(tmp_path / "work", "lucaone-36000000-server")
    with pytest.raises(CheckpointError, match=r"found .*lucaone-36000000-server, .*lucaone-36000000-huggingface"):
        named.folder_of("lucaone")


def test_a_name_of_ones_own(clone, tmp_path):
    folder = converted(tmp_path / "work", "ours-local-0a1b2c3d")
    converted(clone, "ours-2-local-0a1b2c3d")
    assert named.folder_of("ours") == folder
    assert str(named.folder_of("our")) == "our", "a folder, of which its reader says what it is"
    converted(clone, "ours-local-00000000")
    with pytest.raises(CheckpointError, match=r"expected one converted checkpoint ours in .*, found"):
        named.folder_of("ours")


def test_what_is_converted_here(clone, tmp_path):
    """In both places, and nothing whose record cannot be used."""
    converted(clone, "lucaone-36000000-huggingface")
    assert named.models() == []
    mini = named.folder_of("mini")
    assert [(model.name, model.family, model.folder) for model in named.models()] == [("mini-1", "lucaone", mini)]
    assert named.models(tmp_path) == []
    assert named.models(str(mini.parent)) == named.models()


@pytest.mark.usefixtures("clone")
def test_a_folder_is_taken_as_it_is(tmp_path):
    assert named.folder_of(tmp_path) == tmp_path
    assert named.folder_of("elsewhere/mini-1-packaged-0").name == "mini-1-packaged-0"
