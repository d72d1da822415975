"""Matrices that were made elsewhere, as downstream models read them: which rows are read, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from lucaflow.checkpoints.model import Model
from lucaflow.downstream.inputs import HeadInput
from lucaflow.downstream.made_elsewhere import MatrixFiles
from lucaflow.downstream.matrix_folder import MatrixFolder, widths_read
from lucaflow.downstream.prediction import Batch, Sides, predict
from lucaflow.downstream.required_embeddings import EmbeddingRequest
from lucaflow.errors import InputError
from lucaflow.store.assembly import AcceptedRecords

LIMIT, WIDTH = 10, 3


def folder_with(tmp_path, lengths, special=False, problems=None) -> MatrixFolder:
    """Return the reading of sequences of these lengths, whose digests are their numbers."""
    reading = HeadInput(Model("mini", 1), LIMIT + 2, LIMIT + 2, False, "right", special, frame=False)
    digests = np.array([str(row) for row in range(len(lengths))], dtype="S64")
    accepted = AcceptedRecords([], digests, np.array(lengths), np.arange(len(lengths)))
    names = {str(row): f"matrix_{row}.npy" for row in range(len(lengths)) if str(row) not in (problems or {})}
    files = MatrixFiles(tmp_path, names, problems or {})
    request = EmbeddingRequest.by(reading, 1)
    return MatrixFolder(files, request, reading, LIMIT, accepted, np.full(len(lengths), WIDTH))


def matrix(rows, width=WIDTH):
    return np.arange(rows * width, dtype=np.float32).reshape(rows, width)


def read(folder, budget=100) -> dict[int, np.ndarray]:
    needed = np.ones(len(folder.accepted.digests), dtype=bool)
    batches = list(folder.batches(needed, budget))
    return {row: values for batch in batches for row, values in zip(batch.rows.tolist(), batch.matrices, strict=True)}


@pytest.mark.parametrize(
    ("length", "special", "rows", "expected"),
    [
        (5, False, 5, matrix(5)),
        (5, False, 7, matrix(7)[1:-1]),
        (5, True, 7, matrix(7)),
        (5, True, 5, "has 5 rows, one for each residue, but the task reads those of"),
        (5, False, 4, "has 4 rows, expected 5, or 7 with .* the sequence was shortened"),
        (5, False, 6, "has 6 rows, expected 5, or 7 with .* it is of another sequence"),
        (20, False, 10, matrix(10)),
        (20, False, 12, matrix(12)[1:-1]),
        (20, False, 20, r"has 20 rows, expected 10, or 12 .* first 10\. Embed these \(`--truncation_seq_length 10`\)"),
        # All 12 residues, or 10 with [CLS] and [SEP]?
        (12, False, 12, r"has 12 rows, expected 10, or 12 .* first 10\."),
    ],
)
def test_rows(tmp_path, length, special, rows, expected):
    folder = folder_with(tmp_path, [length], special)
    np.save(tmp_path / "matrix_0.npy", matrix(rows))
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            read(folder)
    else:
        np.testing.assert_array_equal(read(folder)[0], expected)


def test_what_cannot_be_used_is_left_out_with_a_reason(tmp_path):
    folder = folder_with(tmp_path, [4, 4, 4, 4, 4, 4], problems={"5": "there is no file"})
    np.save(tmp_path / "matrix_0.npy", matrix(4))
    np.save(tmp_path / "matrix_1.npy", matrix(4, width=2))
    np.save(tmp_path / "matrix_2.npy", np.full((4, WIDTH), np.nan, dtype=np.float32))
    np.save(tmp_path / "matrix_3.npy", matrix(4)[0])
    np.save(tmp_path / "matrix_4.npy", matrix(4).astype(np.float16))
    found = read(folder, budget=4)
    assert found.keys() == {0, 4}
    assert folder.problems == {
        1: f"{tmp_path}/matrix_1.npy is 2 wide, expected 3: it is by another network",
        2: f"{tmp_path}/matrix_2.npy holds values that are not finite numbers (NaN or infinite)",
        3: f"{tmp_path}/matrix_3.npy holds an array of shape (3,), expected a matrix (rows, width)",
        5: "there is no file",
    }
    about = folder.about()
    assert (about["files"], about["types"]) == (2, {"float32": 1, "float16": 1})


def test_a_folder_without_any_usable_matrix_is_refused(tmp_path):
    missing = {str(row): f"there is no matrix_{row}.pt" for row in range(5)}
    with pytest.raises(InputError, match=r"no usable matrix .* It has 0 files") as error:
        read(folder_with(tmp_path, [4] * 5, problems=missing))
    assert str(error.value).endswith("matrix_2.pt\n  and 2 more")
    (tmp_path / "vector_0.pt").touch()
    with pytest.raises(InputError, match="It has vectors; downstream models read matrices"):
        read(folder_with(tmp_path, [4], problems={"0": "none"}))
    with pytest.raises(InputError, match="there is no such folder"):
        read(folder_with(tmp_path / "nowhere", [4]))


def test_a_file_that_cannot_be_read_now_is_an_error_of_the_job(tmp_path):
    """It is not a property of the record: the next run may read it."""
    folder = folder_with(tmp_path, [4])
    with pytest.raises(InputError, match=r"matrix_0\.npy: there is no such file\. Mend that"):
        read(folder)


class Sums:
    """Adds up the numbers of both sides of a pair."""

    budget, outputs = 10, 1

    def __init__(self) -> None:
        self.head = SimpleNamespace(structure=SimpleNamespace(inputs=(1,), tower_of=lambda _: 0, vector=lambda _: 1))

    def vectors(self, _, matrices):
        return np.array([matrix.sum(0) for matrix in matrices])

    def outputs_for(self, one, other):
        return one + other


class WithoutTheSecond:
    """Has embeddings of the first and the third sequence."""

    def __init__(self) -> None:
        self.problems = {}

    def batches(self, *_) -> Iterator[Batch]:
        self.problems = {1: "no file"}
        yield Batch(np.array([0, 2]), [np.full((2, 1), number, dtype=np.float32) for number in (1, 10)])


def test_a_pair_with_a_side_without_embedding_has_no_prediction_but_a_reason():
    accepted = AcceptedRecords([], np.array([b"a", b"b", b"c"]), np.ones(3), np.array([0, 1, 0, 2, 1, 1, 1, 0]))
    sides = Sides(np.full((4, 2), "prot"), np.array([True, True, True, False]))
    whole = SimpleNamespace(is_token_level=False)
    trained = SimpleNamespace(task=SimpleNamespace(task_type="regression"), structure=whole)
    found = predict(Sums(), trained, WithoutTheSecond(), accepted, sides, None)
    assert found.problems == {0: "side b: no file", 2: "side a: no file; side b: no file"}
    np.testing.assert_array_equal(found.output_rows.values[:, 0], [np.nan, 22, np.nan, np.nan])


def test_each_side_of_a_pair_has_its_width():
    structure = SimpleNamespace(inputs=(8, 16), tower_of=lambda side: side)
    sides = Sides(np.full((2, 2), "gene"), np.array([True, False]))
    assert widths_read(structure, np.array([0, 1, 2, 3]), sides, 5).tolist() == [8, 16, 0, 0, 0]
