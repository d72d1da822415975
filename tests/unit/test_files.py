"""Files get their final name when they are complete, and never before."""

from __future__ import annotations

import pytest

from lucaflow.files import replacing, replacing_folder, write_text


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("all of it")
        assert not path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]
    assert path.read_text() == "all of it"
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_stood_there_stays_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_goes(tmp_path):
    path = tmp_path / "a[1].txt"
    (tmp_path / ".a[1].txt.xyz.part").write_text("half")
    (tmp_path / ".b.txt.xyz.part").write_text("another file's")
    write_text(path, "whole")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".b.txt.xyz.part", "a[1].txt"]


def test_a_writer_that_was_overtaken_does_not_replace_what_is_there(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        temporary.write_text("half")
        write_text(path, "whole")
    assert path.read_text() == "whole"


def test_a_folder_appears_when_it_is_complete(tmp_path):
    folder = tmp_path / "results" / "folder"
    for content in ("first", "second"):
        with replacing_folder(folder) as temporary:
            (temporary / "a.txt").write_text(content)
        assert (folder / "a.txt").read_text() == content
    (folder.parent / ".folder.xyz.part").mkdir()
    with pytest.raises(ZeroDivisionError), replacing_folder(folder) as temporary:
        (temporary / "a.txt").write_text("half")
        raise ZeroDivisionError
    assert (folder / "a.txt").read_text() == "second"
    assert list(folder.parent.iterdir()) == [folder]
