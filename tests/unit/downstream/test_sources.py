"""Encoders and downstream models are converted from their sources in one way.

Tests `lucaflow.checkpoints.conversion_job` too.
"""

from __future__ import annotations

import json
import shutil

import pytest
from golden_cases import PACKAGED

from lucaflow.checkpoints.conversion_job import convert_in_this_process, convert_once, convert_source
from lucaflow.checkpoints.converted_checkpoint import (
    CHECKPOINT_RECORD,
    MODEL_NAME,
    EncoderSource,
    fetched_folders,
    folders_beside,
    is_converted,
    is_unrecorded,
    read_record,
)
from lucaflow.checkpoints.model import Model
from lucaflow.config.step_settings import conversion_settings, file_identity
from lucaflow.downstream.models import HeadSource, choose_task
from lucaflow.errors import CheckpointError
from lucaflow.files.receipts import receipt_path

MODEL = Model("lucaone", 36000000)
TASK, _ = choose_task(PACKAGED / "downstream", "ProtLoc", None)


def encoder(folders):
    return EncoderSource(*folders, MODEL, None, False)


def head(folders):
    return HeadSource(*folders, TASK, None)


@pytest.fixture(params=["encoder", "downstream model"])
def kind(request, tmp_path):
    """What makes a source from its folders, and the published files of one."""
    root = tmp_path / "root"
    if request.param == "encoder":
        return encoder, shutil.copytree(PACKAGED / "embedding/checkpoints/T1", root)
    for part in ("models", "logs"):
        shutil.copytree(PACKAGED / "downstream" / part / TASK.name, root / part / TASK.name)
    return head, root


@pytest.fixture
def local(kind, tmp_path):
    make, root = kind
    return make(folders_beside(tmp_path / "models", "model", "local", root))


@pytest.fixture(autouse=True)
def _read_anew():
    file_identity.cache_clear()


def changed_config(source):
    """Change a space in the configuration of a model: another file, the same network."""
    path = source.located().config
    path.write_text(path.read_text() + "\n")
    file_identity.cache_clear()


def test_it_is_converted_once_until_a_file_changes(local):
    convert_once(local, convert_in_this_process)
    record = read_record(local.folder)
    assert is_converted(local.located(), local.folder)
    convert_once(local, lambda *_: pytest.fail("it is converted again"))
    changed_config(local)
    assert not is_converted(local.located(), local.folder)
    convert_once(local, convert_in_this_process)
    again = read_record(local.folder)
    assert again["network_sha256"] == record["network_sha256"]
    assert again["origin"] != record["origin"]
    assert all(str(local.root) in name for name in again["origin"])


def test_a_conversion_without_a_receipt_is_known_by_its_version_and_size(local):
    convert_once(local, convert_in_this_process)
    assert is_unrecorded(local.folder)
    receipt = receipt_path(local.folder, "convert")
    receipt.parent.mkdir()
    receipt.touch()
    assert not is_unrecorded(local.folder)
    receipt.unlink()
    (local.folder / MODEL_NAME).write_bytes(b"")
    assert not is_unrecorded(local.folder)
    (local.folder / CHECKPOINT_RECORD).write_text(json.dumps([]))
    assert not is_unrecorded(local.folder)


def test_settings_follow_the_files_or_the_last_conversion(local, tmp_path):
    before = conversion_settings(local, None)
    assert before["files"]
    changed_config(local)
    assert conversion_settings(local, before) != before
    local.root.rename(tmp_path / "elsewhere")
    assert conversion_settings(local, before) == before
    assert conversion_settings(local, None)["files"] == {}


def test_fetched_files_are_known_before_they_are_there(kind, tmp_path):
    make, _ = kind
    source = make(fetched_folders(tmp_path, "model", "server"))
    assert source.is_fetched
    assert conversion_settings(source, None)["source"] == "server"
    with pytest.raises(CheckpointError):
        source.located()


def test_another_file_than_the_packaged_one_is_refused(local):
    name = local.located().config.relative_to(local.root).as_posix()
    with pytest.raises(CheckpointError, match=rf"{name} has SHA-256 [0-9a-f]{{64}}, expected 0000.*Clone again"):
        convert_source(local, {name: "0" * 64})
    assert not local.folder.exists()
