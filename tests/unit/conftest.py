"""A small records.tsv, and no waiting for the disk."""

import os

import pandas as pd
import pytest

ROWS = [
    ("1", "a", "first", "prot", "a", "accepted", "5"),
    ("2", "a", "", "gene", "b", "accepted", "9"),
    ("3", "NA", "dropped", "prot", "a", "dropped", "0"),
    ("4", "a", "again", "prot", "a", "duplicate", "5"),
    ("5", "001", "last", "prot", "a", "accepted", "7"),
]
COLUMNS = ["record", "id", "description", "seq_type", "side", "status", "length"]


@pytest.fixture(scope="session", autouse=True)
def without_waiting_for_the_disk():
    """No unit test is about a crash of the machine; the order of these calls is tested in files/test_writing.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "records.tsv"
    pd.DataFrame(ROWS, columns=COLUMNS).to_csv(path, sep="\t", index=False)
    return path
