"""The table at the end of a run."""

from collections import Counter

import pytest

from lucaflow.files.writing import write_json, write_table
from lucaflow.records.counts import Counts
from lucaflow.report.summary import _preflight, as_text, summarise


def test_the_table_of_a_run(tmp_path):
    header = "dataset\tmodel\trecords\tdistinct_sequences\tresidues\tseconds\tembeddings\tpredictions\n"
    table = tmp_path / "summary.tsv"
    table.write_text(f"{header}p\tmini-1\t10\t9\t1234567\t\tresults/p/mini-1/embeddings.h5\t10 of A\n")
    text = as_text(table)
    assert "not for science" in text
    assert "results/p/mini-1/" in text
    assert "1234567" in text
    assert as_text(table, overview=tmp_path / "overview.html").startswith(text)
    assert f"Start with {tmp_path}/overview.html: " in as_text(table, overview=tmp_path / "overview.html")
    assert "Predictions are in:\n  results/p/predictions/: 10 of A\n" in text
    assert "/: 10 of A\n  A was trained on yeast.\n" in as_text(table, ["A was trained on yeast."])
    table.write_text(f"{header}p\tlucaone-36000000\t10\t9\t12\t3.5\tresults/p/l/embeddings.h5\t\n")
    assert "not for science" not in as_text(table)
    assert "Predictions" not in as_text(table)


def test_how_an_input_was_read_is_shown_at_the_end(tmp_path):
    """The column is only there where there is something to say, so that other tables stay as they are."""
    silent, told = Counts(Counter(accepted=1)), Counts(Counter(accepted=1), notes=["sequences are from 'a'", "b"])
    for counts in (silent, told):
        counts.write(tmp_path / "counts.json")
        assert Counts.read(tmp_path / "counts.json") == counts
        assert ("notes" in (tmp_path / "counts.json").read_text()) == bool(counts.notes)
    table = tmp_path / "summary.tsv"
    for counts in ({"p": silent}, {"p": silent, "q": told}):
        write_table(table, summarise(counts, {}, [], tmp_path))
        noted = "How the inputs were read:\n  q: sequences are from 'a'; b\n"
        assert (noted in as_text(table)) == ("q" in counts) == ("notes" in table.read_text())


def test_trainings_are_listed_with_their_scores_on_test(tmp_path):
    folder = tmp_path / "results/p/training/T/mini-1"
    write_json(folder / "training.json", {"dataset": "p", "task": "T", "model": "mini-1", "metric": "macro F1"})
    rows = [("dev", "mini-1", 0.9), ("test", "majority", 0.2), ("test", "mini-1", 0.8123)]
    lines = (f"{part}\t{model}\tmacro F1\t{value}\t0.7\t0.91\n" for part, model, value in rows)
    (folder / "metrics.tsv").write_text("split\tmodel\tmetric\tvalue\tlow\thigh\n" + "".join(lines))
    table, counts = tmp_path / "summary.tsv", {"p": Counts(Counter(accepted=1)), "q": Counts(Counter(accepted=1))}
    trained = summarise(counts, {}, [], tmp_path, [folder / "training.json"])
    said = "T by mini-1: macro F1 0.812 (0.7 to 0.91) on test"
    assert trained["trainings"].tolist() == [said, ""]
    write_table(table, trained)
    assert f"How good the trained models are:\n  {said}\n  report.html\n" in as_text(table, reports=["report.html"])


def test_a_row_says_how_many_sequences_were_cut_and_how_many_are_in_windows(tmp_path):
    """And the size of embeddings.h5, and that of the shards."""
    report = tmp_path / "results/p/mini-1/verified.json"
    sizes = {"embeddings.h5": 1_000_000, "../records.tsv": 1, "shards/f/a.h5": 2_000_000, "shards/f/b.h5": 4_000_000}
    files = {name: {"bytes": size} for name, size in sizes.items()}
    write_json(report, {"fingerprint": "f", "truncated_sequences": 1, "windowed_sequences": 2, "files": files})
    (row,) = summarise({"p": Counts(Counter(accepted=9))}, {"p": [report]}, [], tmp_path).to_dict("records")
    assert (row["truncated"], row["windowed"], row["embeddings_mb"], row["shards_mb"]) == (1, 2, 1, 6)


@pytest.mark.parametrize("content", [b"", b"dataset\n", b"\0\xff\t\n", b'dataset\tmodel\n"p\n'])
def test_a_damaged_table_is_named_at_the_end_of_a_run(tmp_path, content):
    table = tmp_path / "summary.tsv"
    table.write_bytes(content)
    assert f"{table} is damaged (" in as_text(table) and "the table of the run is left out" in as_text(table)


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_damaged_estimate_is_left_out(tmp_path, caplog, content):
    path = tmp_path / "preflight.json"
    path.write_text(content)
    assert _preflight(path) == {}
    assert "preflight.json is damaged" in caplog.text
