"""Figures and pages of predictions."""

import pandas as pd

from lucaflow.report.predictions import described


def test_what_a_page_says_of_predictions(records):
    """Ids are compared by type and side; records that were not accepted are ignored."""
    table = pd.DataFrame({"seq_id_a": ["a", "001"], "seq_id_b": ["a", "a"], "prob": [0.5, 0.7]})
    found = described(table, records, ("prot", "gene"))
    assert found["description_a"].tolist() == ["first", "last"]
    assert found[["length_a", "length_b"]].to_numpy().tolist() == [["5", "9"], ["7", "9"]]
    assert "description_b" not in found
