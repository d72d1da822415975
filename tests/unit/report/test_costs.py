"""The cost of embeddings: of all jobs that made them, earlier runs included."""

import json
from pathlib import Path

import pytest

from lucaflow.report.costs import Costs, computed_beside, costs_of_embedding

JOBS = Path("embed/p/mini-1/f")


@pytest.mark.parametrize(
    ("rows", "seconds", "memory"),
    [
        (["12.34\t100.4", "1\t250.6"], 13.3, 251),
        (["12.34\tNA", "1\t250.6"], 13.3, 251),
        (["12.34\tNA", "1\t-"], 13.3, None),
        (["12.34\t100.4"], None, None),
        (["12.34\t100.4", "1\t250.6", "100\t99"], 113.3, 251),
    ],
    ids=["two shards", "no memory of one", "no memory", "one shard not measured", "a shard of an earlier run"],
)
def test_seconds_and_memory(tmp_path, rows, seconds, memory):
    (tmp_path / "benchmarks" / JOBS).mkdir(parents=True)
    for number, row in enumerate(rows):
        (tmp_path / "benchmarks" / JOBS / f"{number}.tsv").write_text(f"s\tmax_rss\n{row}\n")
    assert costs_of_embedding(tmp_path, JOBS, ["0", "1"]) == Costs(seconds, None, memory)


def test_the_rate_is_that_of_the_computation(tmp_path):
    """Not of a job that had everything, nor of one whose measure was lost."""
    assert costs_of_embedding(tmp_path, JOBS, ["0"]).residues_per_second is None
    (tmp_path / "logs" / JOBS).mkdir(parents=True)
    for name, computed, rate in (("0", (0, 0.0), None), ("1", (90, 4.5), 20), ("2", (10, 0.5), 20)):
        text = json.dumps(dict(zip(("residues", "seconds"), computed, strict=True)))
        computed_beside(tmp_path / "logs" / JOBS / f"{name}.log").write_text(text)
        assert costs_of_embedding(tmp_path, JOBS, ["0"]).residues_per_second == rate


@pytest.mark.parametrize(
    "content", [b"", b"s\tmax_rss\n", b"s\n1\n", b"s\tmax_rss\nx\t1\n", b"s\tmax_rss\nnan\t1\n", b"\xff\0"]
)
def test_a_damaged_benchmark_is_left_out(tmp_path, caplog, content):
    (tmp_path / "benchmarks" / JOBS).mkdir(parents=True)
    (tmp_path / "benchmarks" / JOBS / "0.tsv").write_bytes(content)
    assert costs_of_embedding(tmp_path, JOBS, ["0"]) == Costs(None, None, None)
    assert "0.tsv is damaged" in caplog.text and "seconds and memory of its dataset are left out" in caplog.text


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"residues": 5, "seconds": "x"}', "{"])
def test_a_damaged_measure_of_a_job_is_left_out(tmp_path, caplog, content):
    (tmp_path / "logs" / JOBS).mkdir(parents=True)
    (tmp_path / "logs" / JOBS / "0.computed.json").write_text(content)
    (tmp_path / "logs" / JOBS / "1.computed.json").write_text('{"residues": 90, "seconds": 4.5}')
    assert costs_of_embedding(tmp_path, JOBS, ["0", "1"]).residues_per_second == 20
    assert "0.computed.json is damaged" in caplog.text and "left out of the residues per second" in caplog.text
