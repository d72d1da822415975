"""Checksum files are kept beside results, and name every difference."""

import subprocess

import pytest

from lucaflow.errors import UnreadableError
from lucaflow.files.checksums import checksum_file_of, damage_of_result
from lucaflow.files.writing import replacing_folder, write_text


def test_a_checksum_file_is_what_sha256sum_reads(tmp_path):
    write_text(tmp_path / "a b.txt", "text")
    with replacing_folder(tmp_path / "folder", with_checksum=True) as temporary:
        (temporary / "1\x1c\u2028.txt").write_text("one")
    for checksum_file in (checksum_file_of(tmp_path / "a b.txt"), checksum_file_of(tmp_path / "folder")):
        subprocess.run(["sha256sum", "--check", "--strict", checksum_file.name], cwd=tmp_path, check=True)
    (tmp_path / "folder/notes.txt").write_text("somebody's own")
    assert not damage_of_result(tmp_path / "a b.txt") and not damage_of_result(tmp_path / "folder")
    (tmp_path / "a b.txt").write_text("test")
    assert damage_of_result(tmp_path / "a b.txt") == "changed since it was written"
    (tmp_path / "folder/1\x1c\u2028.txt").write_text("other")
    assert damage_of_result(tmp_path / "folder") == "folder/1\x1c\u2028.txt has changed since it was written"
    (tmp_path / "folder/1\x1c\u2028.txt").unlink()
    assert damage_of_result(tmp_path / "folder") == "folder/1\x1c\u2028.txt is missing"
    for rubbish in ("rubbish", ""):
        checksum_file_of(tmp_path / "folder").write_text(rubbish)
        assert "checksum in .folder.sha256 is damaged" in damage_of_result(tmp_path / "folder")
    checksum_file_of(tmp_path / "folder").unlink()
    checksum_file_of(tmp_path / "folder").mkdir()
    with pytest.raises(UnreadableError, match="left unchanged"):
        damage_of_result(tmp_path / "folder")
