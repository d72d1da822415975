"""Files that were fetched are known by their digests, whatever happens to them or to the list of them."""

from __future__ import annotations

import hashlib

import pytest
from fetching_cases import WEIGHTS, assert_complete, assert_incomplete, run, state_dict

from lucaflow.checkpoints.checksums import damaged_files, remove_damaged
from lucaflow.checkpoints.fetched_record import SUMS_NAME
from lucaflow.errors import CheckpointError


def test_digests_that_were_lost_are_known_from_the_record(server, tmp_path):
    run(server, tmp_path)
    (tmp_path / SUMS_NAME).unlink()
    (tmp_path / "pytorch.pth").write_bytes(state_dict(4, seed=1))
    with pytest.raises(CheckpointError, match=r"pytorch.pth: its SHA-256 is"):
        remove_damaged(tmp_path)
    run(server, tmp_path)
    assert_complete(tmp_path)


@pytest.mark.parametrize("text", ["\xff", "abc  pytorch.pth\n", f"{'0' * 64}  ../other\n", "one line\n"])
def test_a_damaged_list_of_digests(server, tmp_path, text):
    (tmp_path / SUMS_NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match="SHA256SUMS is damaged"):
        run(server, tmp_path)


def test_a_digest_that_was_published(server, tmp_path):
    run(server, tmp_path / "right", sha256=hashlib.sha256(WEIGHTS).hexdigest())
    assert_complete(tmp_path / "right")
    with pytest.raises(CheckpointError, match=r"its SHA-256 is [0-9a-f]{64}, expected 0{64}.*nothing was kept"):
        run(server, tmp_path / "wrong", sha256="0" * 64)
    assert_incomplete(tmp_path / "wrong")


def test_a_flipped_byte_in_a_stored_file(server, tmp_path):
    run(server, tmp_path)
    path = tmp_path / "pytorch.pth"
    broken = bytearray(WEIGHTS)
    broken[1 << 20] ^= 1
    path.write_bytes(broken)
    assert list(damaged_files(tmp_path)) == ["pytorch.pth"]
    with pytest.raises(CheckpointError, match=r"pytorch.pth: its SHA-256 is .* Run again with a network connection"):
        remove_damaged(tmp_path)
    assert_incomplete(tmp_path)
    server.asked.clear()
    run(server, tmp_path)
    assert_complete(tmp_path)
    assert len(server.asked) == 1
    remove_damaged(tmp_path)


def test_what_is_not_what_was_recorded_first_is_refused(server, tmp_path):
    run(server, tmp_path)
    (tmp_path / "pytorch.pth").unlink()
    server.files["/new/pytorch.pth"] = state_dict(4, seed=1)
    with pytest.raises(CheckpointError, match="The file has changed, or was damaged on the way"):
        run(server, tmp_path)
    assert not (tmp_path / "pytorch.pth").exists()
