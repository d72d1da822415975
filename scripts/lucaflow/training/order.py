"""In which order are the rows of a training set read, and how are they divided into batches?

Rows are numbers from 0 on, in the order of the training set.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise

import numpy as np

# LucaOneTasks shuffles each list five times, the rows in its buffer always from this seed.
_SHUFFLES = 5
_SEED_OF_BUFFER = 1221

Batches = list[tuple[int, ...]]


def generator_of(*key: object) -> np.random.RandomState:
    """Return a generator of random numbers that depends on a key alone, such as a seed and an epoch.

    numpy guarantees that the numbers of `RandomState` stay the same in all of its versions.
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4"))


def batches_of_epoch(rows: int, batch_size: int, seed: int, epoch: int) -> Batches:
    """Return the batches of an epoch, in random order. They depend on the arguments alone, not on earlier epochs."""
    order = generator_of("order", seed, epoch).permutation(rows).tolist()
    return list(_batched(order, batch_size))


def lucaonetasks_epochs(files: Sequence[int], batch_size: int, buffer_size: int, seed: int) -> Iterator[Batches]:
    """Yield the batches of one epoch after the other, as LucaOneTasks reads them.

    files: the number of rows of each training file. LucaOneTasks fills a buffer with the next rows of its files and
    shuffles it. After each epoch it shuffles the list of files, and the rows of the file that is then the first.
    """
    shuffled = random.Random(seed)
    buffers = np.random.RandomState(_SEED_OF_BUFFER)
    bounds = pairwise([0, *accumulate(files)])
    contents = [list(range(start, stop)) for start, stop in bounds]
    for _ in range(_SHUFFLES):
        shuffled.shuffle(contents)
    while True:
        epoch: Batches = []
        for part in _batched(list(chain.from_iterable(contents)), buffer_size):
            buffer = list(part)
            for _ in range(_SHUFFLES):
                buffers.shuffle(buffer)
            epoch += _batched(buffer, batch_size)
        yield epoch
        shuffled.shuffle(contents)
        for _ in range(_SHUFFLES):
            shuffled.shuffle(contents[0])


def _batched(rows: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    return (tuple(rows[start : start + size]) for start in range(0, len(rows), size))
