import numpy as np
import pandas as pd

from lucaflow.exports.tables import in_blocks


def test_blocks_have_one_size_wherever_records_were_dropped():
    """A block is a row group of Parquet: its size must not follow how the records were read."""
    table = pd.DataFrame({"id": np.arange(10)})
    blocks = list(in_blocks(iter([table[:1], table[1:1], table[1:8], table[8:]]), 4))
    assert [len(block) for block in blocks] == [4, 4, 2]
    assert pd.concat(blocks)["id"].tolist() == list(range(10))
    assert list(in_blocks(iter([table[:0]]), 4)) == []
