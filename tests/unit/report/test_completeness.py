"""Before a run says that all results are there, it compares the numbers of records, embeddings and predictions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import h5py
import pytest

from lucaflow.errors import StoreError
from lucaflow.records.counts import Counts
from lucaflow.report.completeness import require_complete
from lucaflow.versions import EMBEDDINGS_FORMAT_VERSION


@pytest.fixture
def results(tmp_path) -> dict[str, Path]:
    """Embeddings of two records, in one shard, and predictions of three records, one of which was dropped."""
    report, predicted = tmp_path / "d/mini-1/verified.json", tmp_path / "d/predictions/Task.json"
    shard = report.parent / "shards/x.h5"
    shard.parent.mkdir(parents=True)
    predicted.parent.mkdir()
    shard.write_bytes(b"12")
    write_report(report, "matrix")
    predicted.write_text(json.dumps({"dataset": "d", "seq_types": ["prot"], "predicted": 2, "failed": 1}))
    with h5py.File(report.with_name("embeddings.h5"), "w") as file:
        file.attrs.update(format="lucaflow-embeddings", format_version=EMBEDDINGS_FORMAT_VERSION)
        file["ids"] = ["a", "b"]
    return {"report": report, "predicted": predicted, "shard": shard}


def write_report(path: Path, output: str) -> None:
    files = {"embeddings.h5": {"bytes": 1}, "shards/x.h5": {"bytes": 2}}
    path.write_text(json.dumps({"options": {"outputs": [output]}, "files": files}))


def check(results: dict[str, Path], **status: int) -> None:
    counts = {"d": Counts(status=Counter(status))}
    require_complete(counts, {"d": [results["report"]]}, [results["predicted"]])


def test_complete_results(results):
    check(results, accepted=2, dropped=1, duplicate=5)


def test_both_sides_of_a_pair_have_one_row(results):
    about = {"dataset": "d", "seq_types": ["gene", "prot"], "predicted": 1, "failed": 1}
    results["predicted"].write_text(json.dumps(about))
    check(results, accepted=2, dropped=2)


def test_a_record_without_an_embedding_or_a_prediction(results):
    with pytest.raises(StoreError) as caught:
        check(results, accepted=3, dropped=1)
    assert "embeddings.h5 has 2 records, expected 3" in str(caught.value)
    assert "Task.csv and Task.failed.csv have 3 rows, expected 4" in str(caught.value)


def test_a_shard_that_is_missing_or_cut(results):
    for change in (lambda path: path.write_bytes(b"1"), Path.unlink):
        change(results["shard"])
        with pytest.raises(StoreError, match=r"x\.h5 is missing or has another size"):
            check(results, accepted=2, dropped=1)


def test_shards_of_vectors_may_be_deleted(results):
    write_report(results["report"], "mean")
    results["shard"].unlink()
    check(results, accepted=2, dropped=1)
