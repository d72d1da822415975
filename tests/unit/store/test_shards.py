import pytest
from small_store import CHECKPOINT, DIGESTS, OPTIONS, batch

from lucaflow.errors import StoreError
from lucaflow.store.format import ShardContent
from lucaflow.store.shards import ShardWriter


def test_a_shard_that_ends_early_is_an_error(tmp_path):
    content = ShardContent(DIGESTS[:2], [5, 2], OPTIONS, CHECKPOINT, 4)
    with (
        pytest.raises(StoreError, match=r"s\.h5 is incomplete: 1 of 2 sequences were embedded"),
        ShardWriter(tmp_path / "s.h5", content, "cpu") as writer,
    ):
        writer.write([batch(0, ["MKVLA"])])
