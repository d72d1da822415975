"""A disk that is full, or closed, while a checkpoint is fetched: nothing is lost, and the message says what to do."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from pathlib import Path

import pytest
from fetching_cases import after_config, assert_complete, assert_incomplete, fetching_process, ranges, run

from lucaflow.errors import CheckpointError, SpaceError
from lucaflow.files.space import require_space


def test_a_disk_that_is_too_small_is_seen_before_anything_comes(server, tmp_path):
    def huge(answer, content):
        answer.begin(200, 10**18, content)

    after_config(server, huge)
    with pytest.raises(SpaceError, match=r"pytorch.pth needs 1,000,000.0 TB, but the disk of .* left"):
        run(server, tmp_path)
    require_space(tmp_path, 1, "nothing")


def test_a_quota_that_is_used_up_keeps_what_came(server, tmp_path):
    limit = 3 << 20

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = fetching_process(
        server, tmp_path, "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)", preexec_fn=bounded
    )
    said = process.communicate()[0]
    assert process.returncode != 0
    assert os.strerror(errno.EFBIG) in said
    assert "SpaceError" in said and "the part already downloaded is kept. Make room" in said, said
    assert_incomplete(tmp_path)
    run(server, tmp_path)
    assert_complete(tmp_path)
    assert ranges(server)[-1] == f"bytes={limit}-"


def mounted(folder: Path, options: str) -> bool:
    """Mount a small file system, where a test may; it is unmounted by the caller."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def test_a_full_disk(server, tmp_path, monkeypatch):
    folder = tmp_path / "small"
    if not mounted(folder, "size=2m"):
        pytest.skip("mounting is not allowed here; the quota has a test of its own")
    try:
        with pytest.raises(SpaceError, match="but the disk of"):
            run(server, folder)
        # Another process may fill the disk after the look at it.
        monkeypatch.setattr("lucaflow.checkpoints.download.require_space", lambda *_: None)
        with pytest.raises(SpaceError, match=r"No space left on device.* is kept"):
            run(server, folder)
        assert_incomplete(folder)
        subprocess.run(["mount", "-o", "remount,size=20m", str(folder)], check=True)
        run(server, folder)
        assert_complete(folder)
        assert ranges(server)[-1] not in (None, "bytes=0-")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_directory_that_cannot_be_written(server, tmp_path):
    folder = tmp_path / "closed"
    if os.geteuid():
        folder.mkdir(mode=0o555)
    elif not mounted(folder, "ro"):
        pytest.skip("root may write everywhere, and may not mount here")
    try:
        with pytest.raises(
            CheckpointError, match=r"cannot be written .* Ask someone with write permission to fetch it"
        ):
            run(server, folder / "inside")
    finally:
        if not os.geteuid():
            subprocess.run(["umount", str(folder)], check=True)
    assert not server.asked
