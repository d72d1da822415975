"""The table at the end of a run."""

import json
from pathlib import Path

import pytest

from lucaflow.report.summary import as_text, computed_beside, cost_of_embedding, rate_of_embedding


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (["12.34\t100.4", "1\t250.6"], (13.3, 251)),
        (["12.34\tNA", "1\t250.6"], (13.3, 251)),
        (["12.34\tNA", "1\t-"], (13.3, None)),
        (["12.34\t100.4"], (None, None)),
    ],
)
def test_what_embedding_cost(tmp_path, rows, found):
    """Of two shards; where memory, or one of them, was not measured, that is said and nothing else is lost."""
    jobs = [Path("embed/p/mini-1/f", name) for name in ("0.h", "1.h")]
    (tmp_path / "benchmarks" / jobs[0].parent).mkdir(parents=True)
    for job, row in zip(jobs, rows, strict=False):
        (tmp_path / "benchmarks" / f"{job}.tsv").write_text(f"s\tmax_rss\n{row}\n")
    assert cost_of_embedding(tmp_path, jobs) == found


def test_the_rate_is_that_of_what_was_computed(tmp_path):
    """Not of a job that had everything, nor of one whose measure was lost."""
    jobs = [Path("embed/p/mini-1/f", name) for name in ("0.h", "1.h", "2.h")]
    assert rate_of_embedding(tmp_path, jobs) is None
    (tmp_path / "logs" / jobs[0].parent).mkdir(parents=True)
    for job, computed, rate in zip(jobs, ((0, 0.0), (90, 4.5)), (None, 20), strict=False):
        text = json.dumps(dict(zip(("residues", "seconds"), computed, strict=True)))
        computed_beside(tmp_path / "logs" / f"{job}.log").write_text(text)
        assert rate_of_embedding(tmp_path, jobs) == rate


def test_the_table_of_a_run(tmp_path):
    header = "dataset\tmodel\trecords\tdistinct_sequences\tresidues\tseconds\tembeddings\tpredictions\n"
    table = tmp_path / "summary.tsv"
    table.write_text(f"{header}p\tmini-1\t10\t9\t1234567\t\tresults/p/mini-1/embeddings.h5\t10 of A\n")
    text = as_text(table)
    assert "not for science" in text
    assert "results/p/mini-1/" in text
    assert "1234567" in text
    assert "Predictions are in:\n  results/p/predictions/: 10 of A\n" in text
    table.write_text(f"{header}p\tlucaone-36000000\t10\t9\t12\t3.5\tresults/p/l/embeddings.h5\t\n")
    assert "not for science" not in as_text(table)
    assert "Predictions" not in as_text(table)
