"""Tables of neighbours: their rows, and when labels are not compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lucaflow.neighbours import datasets, sequence_search, tables
from lucaflow.neighbours.comparison import BEST_HIT, RANDOM, compare_labels
from lucaflow.neighbours.datasets import Labelled, Searched
from lucaflow.neighbours.labels import labels_of_sequences
from lucaflow.neighbours.search import Neighbours, nearest
from lucaflow.neighbours.tables import write_labels, write_neighbours
from lucaflow.records.outcomes import digest_of

SEQUENCES = {digest_of("prot", residues): residues for residues in ("AAAA", "AAAC", "GGGG", "GGGC")}
VECTORS = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.2, 0.9]], dtype=np.float32)
# The last record has the sequence of the first.
SEQUENCE_OF = np.array([0, 1, 2, 3, 0])


def labelled(labels):
    labels = pd.Series(labels)
    codes, names, _ = labels_of_sequences(labels, SEQUENCE_OF, 4)
    ids, digests = np.array([*"abcde"], dtype=object), np.array([*SEQUENCES], dtype="S64")
    return Labelled(ids, labels, SEQUENCE_OF, digests, codes, names)


def searched(labels, k=2):
    dataset, neighbours = labelled(labels), nearest(VECTORS, k)
    rows = np.flatnonzero(dataset.codes >= 0)
    again = Neighbours(neighbours.rows[rows], neighbours.similarity[rows])
    return Searched(dataset, dataset, neighbours, VECTORS.mean(0), rows, VECTORS[rows], again)


def in_a_reference(labels, labels_of_reference, k=2):
    """The first two sequences as a dataset, all four as the reference."""
    reference = labelled(labels_of_reference)
    codes, names, _ = labels_of_sequences(pd.Series(labels), np.arange(2), 2)
    ids, digests = np.array(["q1", "q2"], dtype=object), reference.digests[:2]
    dataset = Labelled(ids, pd.Series(labels), np.arange(2), digests, codes, names)
    found = nearest(VECTORS[:2], k, VECTORS, reference.rows_of(digests))
    rows = np.flatnonzero(reference.codes >= 0)
    again = nearest(VECTORS[rows], k, VECTORS, rows)
    return Searched(dataset, reference, found, VECTORS.mean(0), rows, VECTORS[rows], again)


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
    write_neighbours(searched(["", "x", "y", "y", "x"]), tmp_path / "n.tsv")
    found = read(tmp_path / "n.tsv")
    assert found["id"].tolist() == [*"aabbccddee"]
    assert found["neighbour"].tolist()[::2] == ["b", "a", "d", "c", "b"]
    assert found["rank"].tolist() == ["1", "2"] * 5
    # The label of a neighbour is that of its sequence, here of its second record.
    assert found.loc[2, ["label", "neighbour_label"]].tolist() == ["x", "x"]


def test_labels_that_neighbours_suggest(tmp_path, fasta):
    found = searched(["x", "x", "y", "", "x"], k=1)
    compared = compare_labels(found, fasta, fasta, "ours", False)
    write_labels(found, compared.suggested, tmp_path / "t.tsv")
    found = read(tmp_path / "t.tsv").set_index("id")
    assert found.loc["d"].tolist()[0] == "y"
    assert found.loc["d", "label_given"] == ""
    assert found.loc["a", ["votes", "precision_at_similarity"]].tolist() == ["1/1", "-"]
    chosen = (compared.metrics["metric"] == "accuracy") & (compared.metrics["among"] == "all")
    accuracy = compared.metrics[chosen].set_index("vectors")
    assert accuracy.loc["ours", ["value", "sequences"]].tolist() == [pytest.approx(2 / 3), 3]
    assert {*accuracy.index} == {"ours", "amino-acid composition", BEST_HIT, RANDOM}
    assert compared.sentences[1].startswith("By the votes of 1 neighbours 67% ")


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
    found = searched(labels, k)
    compared = compare_labels(found, fasta, fasta, "ours", are_numbers)
    write_labels(found, compared.suggested, tmp_path / "t.tsv")
    assert compared.sentences == (f"Labels were not compared: {why}.",)
    assert compared.metrics.empty
    assert read(tmp_path / "t.tsv").empty


def test_a_reference_gives_the_neighbours_and_their_labels(tmp_path, fasta):
    """Never the same sequence; and labels of the dataset itself are compared with those that it suggests."""
    found = in_a_reference(["x", "other"], ["x", "x", "y", "y", "x"], k=1)
    write_neighbours(found, tmp_path / "n.tsv")
    assert read(tmp_path / "n.tsv")[["id", "neighbour", "label", "neighbour_label"]].to_numpy().tolist() == [
        ["q1", "b", "x", "x"],
        ["q2", "a", "other", "x"],
    ]
    compared = compare_labels(found, fasta, fasta, "ours", False)
    write_labels(found, compared.suggested, tmp_path / "t.tsv")
    assert read(tmp_path / "t.tsv")[["id", "label", "label_given"]].to_numpy().tolist() == [
        ["q1", "x", "x"],
        ["q2", "x", "other"],
    ]
    metrics = compared.metrics[compared.metrics["among"] == "all"].set_index(["vectors", "metric"])
    assert metrics.loc[("ours", "accuracy"), ["value", "sequences"]].tolist() == [1, 4]
    assert metrics.loc[("ours", "accuracy for the dataset's own labels"), ["value", "sequences"]].tolist() == [0.5, 2]
    assert "4 labelled sequences of the reference get their own label" in compared.sentences[1]
    without = compare_labels(in_a_reference(["", ""], ["x", "x", "y", "y", "x"]), fasta, fasta, "ours", False)
    assert without.suggested is not None
    assert "accuracy for the dataset's own labels" not in set(without.metrics["metric"])


def test_of_many_sequences_a_sample_is_left_out_and_has_best_hits(tmp_path, fasta, monkeypatch):
    """What is said of them is the same as of all, and how many they are is in the sentences."""
    monkeypatch.setattr(sequence_search, "MOST_LEFT_OUT", 3)
    found = searched(["x", "x", "y", "y", "x"], k=1)
    rows = np.array([0, 2, 3])
    again = Neighbours(found.neighbours.rows[rows], found.neighbours.similarity[rows])
    found = replace(found, left_out=rows, left_out_vectors=VECTORS[rows], left_out_neighbours=again)
    compared = compare_labels(found, fasta, fasta, "ours", False)
    assert "These are 3 of 4 labelled sequences, spread evenly over them." in compared.sentences
    assert "Best hits of single records are not listed: there are 4 distinct sequences." in compared.sentences
    assert BEST_HIT in set(compared.metrics["vectors"])
    counts = compared.metrics[compared.metrics["metric"] == "accuracy"]["sequences"]
    assert set(counts) == {3}
    write_labels(found, compared.suggested, tmp_path / "t.tsv")
    table = read(tmp_path / "t.tsv")
    assert table["id"].tolist() == [*"abcde"]
    assert set(table["best_hit"]) == {"-"}


def test_a_large_reference_is_left_out_in_part():
    assert datasets._spread(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert datasets._spread(np.arange(4), 4).tolist() == [0, 1, 2, 3]
    assert datasets._spread(np.arange(4), 0).tolist() == []
