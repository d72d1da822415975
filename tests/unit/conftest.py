"""A small records.tsv."""

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


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "records.tsv"
    pd.DataFrame(ROWS, columns=COLUMNS).to_csv(path, sep="\t", index=False)
    return path
