"""Files and folders get their final name only when they are complete."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
from workflow_runs import ROOT

from lucaflow.files.writing import replacing, replacing_folder, write_text


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
    assert sorted(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_goes(tmp_path):
    """What a living process writes stays, be it of this machine or another."""
    script = "import sys, os; from pathlib import Path; from lucaflow.files.writing import replacing\n"
    script += "with replacing(Path(sys.argv[1])) as part: part.write_text('half'); os._exit(1)"
    path = tmp_path / "a[1].txt"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    subprocess.run([sys.executable, "-c", script, path], check=False, env=environment)
    (left,) = tmp_path.iterdir()
    others = [f".a[1].txt.{platform.node()}-{os.getppid()}.x.part", ".a[1].txt.elsewhere-1.x.part", ".b.txt.x.part"]
    for name in others:
        (tmp_path / name).write_text("another's")
    write_text(path, "whole")
    assert not left.exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([path.name, *others])


def test_a_folder_appears_when_it_is_complete(tmp_path):
    folder = tmp_path / "results" / "folder"
    for content in ("first", "second"):
        with replacing_folder(folder) as temporary:
            (temporary / "a.txt").write_text(content)
        assert (folder / "a.txt").read_text() == content
    with pytest.raises(ZeroDivisionError), replacing_folder(folder) as temporary:
        (temporary / "a.txt").write_text("half")
        raise ZeroDivisionError
    assert (folder / "a.txt").read_text() == "second"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_file_or_folder_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    """And then the name is: a loss of power leaves all of it or nothing."""
    path = tmp_path / "a"
    named_at_each_flush: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: named_at_each_flush.append(path.exists()))
    write_text(path, "all of it")
    assert named_at_each_flush == [False, True]
    path.unlink()
    named_at_each_flush.clear()
    with replacing_folder(path) as temporary:
        (temporary / "b.txt").write_text("all of it")
    # The file, the folder, and then the name of the folder.
    assert named_at_each_flush == [False, False, True]
