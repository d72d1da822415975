"""Which files are read at all: nothing waits, and nothing but the answer comes back."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lucaflow.config.step_settings import file_identity
from lucaflow.files.usable import why_unusable

NO_USER = 65534


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may read every file, so root becomes another user for a moment."""
    if os.geteuid():
        yield
        return
    os.seteuid(NO_USER)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach, as those of pytest are not."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    (path / "closed").chmod(0o755)
    shutil.rmtree(path)


def test_why_a_file_cannot_be_read(folder):
    (folder / "good").write_text("x")
    (folder / "link").symlink_to("good")
    (folder / "mine").write_text("x")
    (folder / "mine").chmod(0)
    (folder / "closed").mkdir()
    (folder / "closed/inside").write_text("x")
    (folder / "closed").chmod(0)
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket"))
    expected = {
        "good": "",
        "link": "",
        "mine": "cannot be read (Permission denied)",
        "closed/inside": "cannot be read (Permission denied)",
        "closed": "is not a regular file but a directory",
        "pipe": "is not a regular file but a named pipe",
        "socket": "is not a regular file but a socket",
        "/dev/zero": "is not a regular file but a device",
        "loop": "cannot be read (Too many levels of symbolic links)",
        "x" * 300: "cannot be read (File name too long)",
        "x/" * 2500: "cannot be read (File name too long)",
        "a\0b": "has a NUL character in its path",
        "nowhere": "there is no such file",
        "good/inside": "there is no such file",
    }
    with without_rights():
        assert {name: why_unusable(folder / name) for name in expected} == expected
        unusable = [name for name, reason in expected.items() if reason]
        assert all(file_identity(folder / name) == {"unreadable": expected[name]} for name in unusable)
