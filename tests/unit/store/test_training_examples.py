"""The embeddings of a small store as examples of torch's DataLoader."""

import numpy as np
import pandas as pd
import pytest
import torch
from small_store import IDS, flip_matrix
from torch.utils.data import DataLoader

from lucaflow.errors import StoreError
from lucaflow.store.training_examples import EmbeddingDataset

LENGTHS = [5, 2, 1, 2, 5]


def batches(dataset, **options):
    return list(DataLoader(dataset, batch_size=2, collate_fn=dataset.collate, **options))


@pytest.mark.parametrize("start", ["spawn", "forkserver", "fork"])
def test_two_workers_give_what_one_process_gives(result, start):
    dataset = EmbeddingDataset(result[0])
    alone = batches(dataset)
    assert [length for batch in alone for length in batch["lengths"].tolist()] == LENGTHS
    # Of a fork the file is open already.
    together = batches(dataset, num_workers=2, multiprocessing_context=start)
    assert [batch["ids"] for batch in together] == [IDS[:2], IDS[2:4], IDS[4:]]
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one["values"], other["values"])
        assert torch.equal(one["mask"], other["mask"])


def test_what_a_batch_holds(result):
    dataset = EmbeddingDataset(result[0], pd.Series({"again": 1.5, "001": -2}))
    (batch,) = batches(dataset)
    assert batch["ids"] == ["001", "again"]
    assert batch["labels"].tolist() == [-2, 1.5]
    assert batch["values"].shape == (2, 5, 4)
    assert batch["mask"].tolist() == [[True] * 2 + [False] * 3, [True] * 5]
    assert batch["values"].sum(dim=(1, 2)).tolist() == [2 * 2 * 4, 5 * 5 * 4]
    vectors = batches(EmbeddingDataset(result[0], {"again": 3, ".": 0}, output="mean"))[0]
    assert vectors.keys() == {"ids", "values", "labels"}
    assert vectors["values"].tolist() == [[1] * 4, [5] * 4]
    assert vectors["labels"].dtype == torch.int64


def test_texts_become_places_in_classes(result):
    dataset = EmbeddingDataset(result[0], {"again": "b", "001": "a"})
    assert (dataset.classes, dataset.labels) == (("a", "b"), [0, 1])
    assert EmbeddingDataset(result[0], {"001": "a"}, classes=["c", "a"])[0].label == 1
    with pytest.raises(StoreError, match=r"labels: 'z' is not among the classes c, a"):
        EmbeddingDataset(result[0], {"001": "z"}, classes=["c", "a"])
    with pytest.raises(StoreError, match="labels: '001' has 1, `classes` are given"):
        EmbeddingDataset(result[0], {"001": 1}, classes=["c", "a"])
    with pytest.raises(StoreError, match="classes: one of them is there twice: a, a"):
        EmbeddingDataset(result[0], {"001": "a"}, classes=["a", "a"])


def test_damage_reaches_the_process_that_asked(result):
    flip_matrix(result[2][0])
    with pytest.raises(StoreError, match=r"one\.h5: .* is damaged"):
        batches(EmbeddingDataset(result[0]), num_workers=2, multiprocessing_context="spawn")


@pytest.mark.parametrize(
    ("labels", "output", "said"),
    [
        ({"again": 1}, "max", "there is no output 'max'; the outputs are mean, matrix"),
        ({"again": 1, "gone": 2}, "mean", "labels: 1 of 2 ids have no embedding in .*embeddings.h5: 'gone'"),
        ({"again": 1, "001": "x"}, "mean", "labels: 'again' has 1, others have texts"),
        ({"again": np.nan, "001": 2}, "mean", "labels: 'again' has no number but nan; leave out"),
        ({"again": None, "001": 2}, "mean", "labels: 'again' has no number but None; leave out"),
        ({"again": [1, 2], "001": 2}, "mean", "labels: 'again' has no number but "),
        (pd.Series(["a", "b"], ["again", "again"]), "mean", "labels: 'again' has several, 'a' and 'b'; keep one"),
        (["a", "b"], "mean", "labels: expected a mapping or a Series .* found list"),
        (pd.DataFrame({"label": ["a"]}, ["again"]), "mean", "labels: expected .* found DataFrame; of a table give one"),
    ],
    ids=["output", "unknown", "two kinds", "no number", "none", "list", "repeated", "no ids", "table"],
)
def test_refusals(result, labels, output, said):
    with pytest.raises(StoreError, match=said):
        EmbeddingDataset(result[0], labels, output)


def test_reading_after_closing_opens_the_file_again(result):
    dataset = EmbeddingDataset(result[0])
    assert np.array_equal(dataset[2].values, np.ones((1, 4)))
    dataset.close()
    assert np.array_equal(dataset[2].values, np.ones((1, 4)))
