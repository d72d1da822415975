"""Each converted checkpoint has a folder of its own, and a record in it."""

import pytest

from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, folder_name, read_record
from lucaflow.errors import CheckpointError


def test_two_places_never_share_a_folder(tmp_path):
    names = {folder_name("lucaone-36000000", "local", str(tmp_path / place)) for place in "ab"}
    assert len(names) == 2


def test_a_folder_of_somebody_is_not_to_be_deleted(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no checkpoint.json. `snakemake fetch`") as raised:
        read_record(tmp_path)
    assert "elete" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {"bytes": 1}}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / CHECKPOINT_RECORD).write_text(content)
    with pytest.raises(CheckpointError, match=r"checkpoint.json is not the record of a converted checkpoint \("):
        read_record(tmp_path)
