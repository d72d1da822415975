"""Each converted checkpoint has a folder of its own, and a record in it."""

import pytest

from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, folder_name, read_record
from lucaflow.errors import CheckpointError


def test_two_places_never_share_a_folder(tmp_path):
    names = {folder_name("lucaone-36000000", "local", str(tmp_path / place)) for place in "ab"}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "is not a converted checkpoint: it has no checkpoint.json. Give the folder"),
        (["notes.txt"], "is not a converted checkpoint"),
        (["config.json", "model.safetensors"], "holds a checkpoint as it was published"),
        (["config.json", "pytorch.pth"], "checkpoints.source to `local` and checkpoints.path to"),
        (["llm/models/x"], "The published one stays as it is"),
    ],
)
def test_a_folder_of_somebody_is_not_to_be_deleted(tmp_path, files, said):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError) as raised:
        read_record(tmp_path)
    assert said.lower() in str(raised.value).lower()
    assert "delete" not in str(raised.value).lower()


def test_no_folder_and_a_file_are_named(tmp_path):
    (tmp_path / "weights.pth").touch()
    with pytest.raises(CheckpointError, match=r"weights.pth is a file. Give the folder of a converted checkpoint"):
        read_record(tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"there is no .*nowhere. .*or a name: lucaone, .*mini"):
        read_record(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {"bytes": 1}}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / CHECKPOINT_RECORD).write_text(content)
    with pytest.raises(
        CheckpointError, match=r"checkpoint.json is not the record of a converted checkpoint \("
    ) as raised:
        read_record(tmp_path)
    assert "delete" not in str(raised.value)
