from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucaflow.errors import EmbeddingError
from lucaflow.store.format import cast_for_storage, hdf5_name


@given(st.text(min_size=1, max_size=8, alphabet="a./%2FE\u00e9") | st.text(min_size=1))
def test_hdf5_names_are_reversible(identifier):
    name = hdf5_name(identifier)
    assert unquote(name) == identifier
    assert "/" not in name
    assert name != "."


def test_half_precision_overflow_is_an_error():
    assert cast_for_storage(np.ones((1, 2), dtype=np.float32), "float16", ["x"]).dtype == np.float16
    with pytest.raises(EmbeddingError, match="float16 cannot hold the embeddings of x"):
        cast_for_storage(np.full((1, 2), 1e5, dtype=np.float32), "float16", ["x"])
    with pytest.raises(EmbeddingError, match=r"embeddings of x: a value is larger than 65,504\. Set"):
        cast_for_storage(np.full((1, 2), np.inf, dtype=np.float16), "float16", ["x"])
