"""Are the arrays of a shard, one for each sequence, complete and sound?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import h5py
import numpy as np

from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.store.checksums import checked_blocks, read_checked
from lucaflow.store.format import SPANS, ShardContent


def rows_of_spans(shard: h5py.File, digests: Sequence[str], options: EmbeddingOptions) -> list[int] | None:
    """Return the rows of each matrix without those of special tokens, as the spans say; None without spans."""
    if SPANS not in shard:
        return None
    special = Vocabulary.special_tokens * options.matrix_add_special_token
    return [len(shard[f"{SPANS}/{digest}"]) - special for digest in digests]


def array_problems(shard: h5py.File, content: ShardContent) -> Iterator[str]:
    """Yield the arrays of a shard that have another shape or type, values that are not finite, or wrong spans.

    Raise StoreError for one that does not match its checksum.
    """
    for name in content.arrays:
        dtype = content.dtype_of(name)
        shapes = content.shapes(name).tolist()
        for digest, length, shape in zip(content.digests, content.lengths, shapes, strict=True):
            dataset, expected = shard[f"{name}/{digest}"], tuple(shape)
            if dataset.shape != expected or dataset.dtype != dtype:
                yield f"the {name} of {digest} is {dataset.dtype} {dataset.shape}, expected {dtype} {expected}"
            elif name == SPANS:
                if not _cover(read_checked(dataset), length, content.options):
                    yield f"the {name} of {digest} are not its embedded letters, one after the other"
            elif not _is_finite(dataset):
                yield f"the {name} of {digest} holds values that are not finite"


def _is_finite(dataset: h5py.Dataset) -> bool:
    """Read all of a matrix or of contacts. Raise StoreError if the values do not match their checksum."""
    finite = True
    for _, block in checked_blocks(dataset):
        finite = finite and bool(np.isfinite(block).all())
    return finite


def _cover(spans: np.ndarray, length: int, options: EmbeddingOptions) -> bool:
    """Return whether spans (k, 2) are all embedded letters of a sequence, each once, and special tokens have none."""
    windows = options.windowing.windows(length)
    start, stop = windows[0].kept_start, windows[-1].kept_stop
    if options.matrix_add_special_token:
        if len(spans) < Vocabulary.special_tokens or [*spans[0], *spans[-1]] != [start, start, stop, stop]:
            return False
        spans = spans[1:-1]
    edges = np.concatenate([[start], spans[:, 1]])
    return bool(edges[-1] == stop and (np.diff(edges) > 0).all() and np.array_equal(spans[:, 0], edges[:-1]))
