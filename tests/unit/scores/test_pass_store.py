"""Results of passes survive kills and damage, and jobs share them."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from lucaflow.errors import StoreError
from lucaflow.scores.pass_files import remove_passes, unused_pass_folders
from lucaflow.scores.pass_store import PassStore, locked_store, tokens_computed

DIGEST, OTHER = "ab" * 32, "cd" * 32
ROW = np.arange(6, dtype=np.float32).reshape(1, 6)


def filled(path, digest=DIGEST, names=("m0", "m1"), tokens=20):
    with locked_store(path, "a test") as store:
        store.add(digest, [(name, ROW + number) for number, name in enumerate(names)], tokens)


def test_results_are_read_back_and_those_of_other_jobs_too(tmp_path):
    filled(tmp_path / "1-of-2.sqlite")
    filled(tmp_path / "2-of-2.sqlite", OTHER, ["u"])
    with locked_store(tmp_path / "all.sqlite", "a test") as store:
        assert store.names(DIGEST) == {"m0", "m1"} and store.names(OTHER) == {"u"}
        assert np.array_equal(store.get_all(DIGEST, ["m1", "m0"]), np.concatenate([ROW + 1, ROW]))
        with pytest.raises(StoreError, match="the result of pass m2 of sequence abab"):
            store.get_all(DIGEST, ["m0", "m2"])
    assert tokens_computed(tmp_path) == {(bytes.fromhex(DIGEST), "m"): 20, (bytes.fromhex(OTHER), "u"): 20}


def test_an_uncommitted_result_of_a_killed_job_is_taken_back_and_the_rest_is_there(tmp_path):
    path = tmp_path / "all.sqlite"
    filled(path)
    killed = PassStore(path)
    killed.add(DIGEST, [("m2", ROW)], 10)
    # A reader beside a job sees what is committed, and takes nothing back.
    assert tokens_computed(tmp_path).total() == 20
    killed._own.close()
    with locked_store(path, "a test") as store:
        assert store.names(DIGEST) == {"m0", "m1"}


def test_a_changed_result_is_named_and_computed_again_alone(tmp_path, caplog):
    path = tmp_path / "1-of-2.sqlite"
    filled(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE passes SET numbers = zeroblob(24) WHERE name = 'm1'")
        database.commit()
    with locked_store(tmp_path / "all.sqlite", "a test") as store:
        assert store.get(DIGEST, "m1") is None
        assert np.array_equal(store.get(DIGEST, "m0"), ROW)
        with pytest.raises(StoreError, match=r"the result of pass m1 of sequence abab.*Run again"):
            store.get_all(DIGEST, ["m0", "m1"])
        assert store.names(DIGEST) == {"m0"}
        assert f"{path}: the result of pass m1 of sequence {DIGEST} is damaged" in caplog.text
        store.add(DIGEST, [("m1", ROW + 1)], 10)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert store.names(DIGEST) == {"m0", "m1"}
        assert np.array_equal(store.get_all(DIGEST, ["m0", "m1"]), np.concatenate([ROW, ROW + 1]))
        assert caplog.text == ""


def test_a_file_with_a_damaged_page_is_named_and_only_its_own_passes_are_lost(tmp_path, caplog):
    path = tmp_path / "all.sqlite"
    filled(tmp_path / "1-of-2.sqlite", OTHER, ["u"])
    filled(path, names=[f"m{number}" for number in range(500)])
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * (path.stat().st_size - 4096 * 4))
    with (
        pytest.raises(StoreError, match=rf"{path} is damaged .*\. Delete this file, and run again"),
        locked_store(path, "a test") as store,
    ):
        assert store.names(OTHER) == {"u"}
        assert len(store.names(DIGEST)) < 500
        assert f"{path} is damaged (" in caplog.text
        store.add(DIGEST, [(f"m{number}", ROW) for number in range(500)], 500)


def test_a_damaged_file_begins_anew(tmp_path):
    path = tmp_path / "all.sqlite"
    path.write_bytes(b"not a database, but some text that is as long as a header of one" * 20)
    filled(path)
    with locked_store(path, "a test") as store:
        assert store.names(DIGEST) == {"m0", "m1"}


def test_the_tokens_at_once_are_those_of_the_job_before(tmp_path):
    path = tmp_path / "all.sqlite"
    with locked_store(path, "a test") as store:
        store.record_budget("cuda: A", 4096)
    with locked_store(path, "a test") as store:
        assert (store.budget("cuda: A"), store.budget("cpu")) == (4096, None)


def test_folders_of_other_settings_are_unused_and_removed(tmp_path):
    for name in ("0123456789ab", "ba9876543210"):
        filled(tmp_path / f"mini-1/scores/passes/{name}/all.sqlite")
    (unused,) = unused_pass_folders(tmp_path, ["0123456789ab"])
    assert unused.name == "ba9876543210"
    assert remove_passes(unused) == [] and not unused.exists()
