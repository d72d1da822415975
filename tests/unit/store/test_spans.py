"""Spans: which letters the rows of a matrix cover, in shards, embeddings.h5 and exports."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from small_store import ATTRIBUTES, CHECKPOINT, DIGESTS, FINGERPRINT, OPTIONS

from lucaflow import open_embeddings
from lucaflow.engine.pooling import EmbeddedBatch, Piece
from lucaflow.errors import ConfigError, StoreError
from lucaflow.exports.hdf5 import export_by_id, export_standalone
from lucaflow.exports.lucaone_files import export_lucaone
from lucaflow.store.assembly import AcceptedRecords, assemble
from lucaflow.store.checksums import checksums_of_rows, matrix_checksum
from lucaflow.store.format import CHECKSUM_ATTRIBUTE, ShardContent
from lucaflow.store.shards import ShardWriter
from lucaflow.store.verification import verified_report, verify_embeddings

LENGTHS = [5, 2]
SPANS = [[[0, 1], [1, 4], [4, 5]], [[0, 2]]]
ACCEPTED = AcceptedRecords(["a", "b", "again"], np.array(DIGESTS[:2], "S64"), np.array(LENGTHS), np.array([0, 1, 0]))


@pytest.fixture
def result(tmp_path):
    """The path of a small embeddings.h5 whose rows cover several letters, and its shard."""
    shard = tmp_path / "shards" / FINGERPRINT[:12] / "one.h5"
    shard.parent.mkdir(parents=True)
    matrices = [np.full((len(spans), 4), number, np.float32) for number, spans in enumerate(SPANS)]
    pieces = [Piece("matrix", number, len(matrix), 0, matrix) for number, matrix in enumerate(matrices)]
    pieces += [Piece("spans", number, len(spans), 0, np.array(spans, np.int32)) for number, spans in enumerate(SPANS)]
    means = {"mean": np.array([matrix.mean(0) for matrix in matrices])}
    batch = EmbeddedBatch(np.arange(2), np.array(LENGTHS), np.ones(2, np.int64), means, pieces)
    with ShardWriter(shard, ShardContent(DIGESTS[:2], LENGTHS, OPTIONS, CHECKPOINT, 4, [3, 1]), "cpu") as writer:
        writer.write([batch])
    path = tmp_path / "embeddings.h5"
    assemble(path, ATTRIBUTES, OPTIONS, ACCEPTED, [shard])
    return path, shard


def problems(path, shard):
    return verify_embeddings(path, ACCEPTED, OPTIONS, ATTRIBUTES, [shard]).describe()


def test_they_are_verified_and_read_by_id(result, tmp_path):
    assert problems(*result) == ""
    (tmp_path / "records.tsv").touch()
    report = verified_report(result[0], ACCEPTED, OPTIONS, tmp_path / "records.tsv", [result[1]])
    assert "links and shapes of all spans" in report["checked"]
    with open_embeddings(result[0]) as embeddings:
        assert embeddings.outputs == ("mean", "matrix")
        assert embeddings.spans("again").tolist() == SPANS[0]
        assert embeddings["b"]["matrix"].shape == (1, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        [[0, 1], [1, 4], [4, 4]],
        [[0, 1], [2, 4], [4, 5]],
        [[1, 2], [2, 4], [4, 5]],
        [[0, 3], [2, 4], [4, 5]],
        [[0, 1], [1, 1], [1, 5]],
    ],
    ids=str,
)
def test_spans_that_are_not_all_letters_in_their_order_are_found(result, wrong):
    """They have the right checksum, as if a faulty program had written them."""
    with h5py.File(result[1], "r+") as file:
        spans = file[f"spans/{DIGESTS[0]}"]
        spans[:] = wrong
        spans.attrs.modify(CHECKSUM_ATTRIBUTE, matrix_checksum(checksums_of_rows(spans[:])))
    assert (
        problems(*result) == f"{result[1]}: the spans of {DIGESTS[0]} are not its embedded letters, one after the other"
    )


def test_a_matrix_without_its_spans_is_found(result):
    with h5py.File(result[0], "r+") as file:
        del file["spans"]
    assert "`spans` is in it or in the shard one.h5 alone" in problems(*result)


def test_elsewhere_each_row_is_a_residue(result):
    with h5py.File(result[0], "r+") as file:
        del file["spans"]
    with open_embeddings(result[0]) as embeddings, pytest.raises(StoreError, match="elsewhere each row is one residue"):
        embeddings.spans("a")


def test_exports_have_them_or_are_refused(result, tmp_path):
    export_standalone(result[0], ["mean", "matrix"], tmp_path / "standalone.h5")
    with pytest.raises(ConfigError, match="`by_id` has no place for `spans`, the letters that each row of `lucaone`"):
        export_by_id(result[0], "matrix", tmp_path / "by_id.h5")
    rows = [f"{name}\t\taccepted" for name in ACCEPTED.ids]
    (tmp_path / "records.tsv").write_text("\n".join(["id\tdescription\tstatus", *rows, ""]))
    assert export_lucaone(result[0], tmp_path / "records.tsv", "tensor", tmp_path / "lucaone") == 9
    assert torch.load(tmp_path / "lucaone/spans_again.pt").tolist() == SPANS[0]
    result[1].unlink()
    with open_embeddings(tmp_path / "standalone.h5") as embeddings:
        assert embeddings.spans("a").tolist() == SPANS[0]
        assert embeddings["b"]["matrix"].tolist() == [[1, 1, 1, 1]]
