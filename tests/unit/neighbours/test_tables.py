"""Tables of neighbours: their rows, and when labels are not compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lucaflow.neighbours import tables
from lucaflow.neighbours.labels import labels_of_sequences
from lucaflow.neighbours.search import nearest
from lucaflow.neighbours.tables import Labelled, write_labels, write_neighbours
from lucaflow.records.outcomes import digest_of

SEQUENCES = {digest_of("prot", residues): residues for residues in ("AAAA", "AAAC", "GGGG", "GGGC")}
VECTORS = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.2, 0.9]], dtype=np.float32)
# The last record has the sequence of the first.
SEQUENCE_OF = np.array([0, 1, 2, 3, 0])


def labelled(labels, k=2):
    labels = pd.Series(labels)
    codes, names, _ = labels_of_sequences(labels, SEQUENCE_OF, 4)
    ids, digests = np.array([*"abcde"], dtype=object), np.array([*SEQUENCES], dtype="S64")
    return Labelled(ids, labels, SEQUENCE_OF, digests, nearest(VECTORS, k), codes, names)


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "distinct.fasta"
    path.write_text("".join(f">{digest} prot\n{residues}\n" for digest, residues in SEQUENCES.items()))
    return path


def read(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


@pytest.mark.parametrize("rows_at_once", [1, 3, 1000])
def test_each_record_has_its_neighbours(tmp_path, monkeypatch, rows_at_once):
    monkeypatch.setattr(tables, "_ROWS_AT_ONCE", rows_at_once)
    write_neighbours(labelled(["", "x", "y", "y", "x"]), tmp_path / "n.tsv")
    found = read(tmp_path / "n.tsv")
    assert found["id"].tolist() == [*"aabbccddee"]
    assert found["neighbour"].tolist()[::2] == ["b", "a", "d", "c", "b"]
    assert found["rank"].tolist() == ["1", "2"] * 5
    # The label of a neighbour is that of its sequence, here of its second record.
    assert found.loc[2, ["label", "neighbour_label"]].tolist() == ["x", "x"]


def test_labels_that_neighbours_suggest(tmp_path, fasta):
    compared = write_labels(labelled(["x", "x", "y", "", "x"], k=1), fasta, "ours", tmp_path / "t.tsv", False)
    found = read(tmp_path / "t.tsv").set_index("id")
    assert found.loc["d"].tolist()[0] == "y"
    assert found.loc["d", "label_given"] == ""
    assert found.loc["a", ["votes", "precision_at_similarity"]].tolist() == ["1/1", "-"]
    accuracy = compared.metrics[compared.metrics["metric"] == "accuracy"].set_index("vectors")
    assert accuracy.loc["ours", ["value", "sequences"]].tolist() == [pytest.approx(2 / 3), 3]
    assert {*accuracy.index} == {"ours", "amino-acid composition", "labels dealt at random"}
    assert compared.sentence.startswith("By the votes of 1 neighbours 67% ")


@pytest.mark.parametrize(
    ("labels", "k", "are_numbers", "why"),
    [
        (["", "", "", "", ""], 2, False, "fewer than two sequences have a label of their own"),
        (["x", "", "", "", "y"], 2, False, "fewer than two sequences have a label of their own"),
        (["1.5", "2", "3", "4", "1.5"], 2, True, "they are numbers"),
        (["x", "x", "y", "y", "x"], 0, False, "no neighbours are listed"),
    ],
)
def test_what_is_not_compared_is_said(tmp_path, fasta, labels, k, are_numbers, why):
    compared = write_labels(labelled(labels, k), fasta, "ours", tmp_path / "t.tsv", are_numbers)
    assert compared.sentence == f"Labels were not compared: {why}."
    assert compared.metrics.empty
    assert read(tmp_path / "t.tsv").empty
