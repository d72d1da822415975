"""What a writer of shards makes sure of."""

import os

import pytest
from small_store import CHECKPOINT, DIGESTS, OPTIONS, RESIDUES, batch

from lucaflow.errors import StoreError
from lucaflow.store import shards
from lucaflow.store.format import ShardContent
from lucaflow.store.shards import ShardWriter


def test_a_shard_that_ends_early_is_an_error(tmp_path):
    content = ShardContent(DIGESTS[:2], [5, 2], OPTIONS, CHECKPOINT, 4)
    with (
        pytest.raises(StoreError, match=r"s\.h5 is incomplete: 1 of 2 sequences were embedded"),
        ShardWriter(tmp_path / "s.h5", content, "cpu") as writer,
    ):
        writer.write([batch(0, ["MKVLA"])])


def test_written_rows_are_brought_to_the_disk(tmp_path, monkeypatch):
    """Here after each batch, since no second passes between two of them."""
    synchronised = []
    monkeypatch.setattr(os, "fsync", synchronised.append)
    monkeypatch.setattr(shards, "_SECONDS_BETWEEN_FLUSHES", 0)
    with ShardWriter(tmp_path / "shard.h5", ShardContent(DIGESTS, [5, 2, 1], OPTIONS, CHECKPOINT, 4), "cpu") as writer:
        synchronised.clear()
        writer.write([batch(0, RESIDUES[:2]), batch(2, RESIDUES[2:])])
        assert synchronised == 2 * [writer._file.id.get_vfd_handle()]
