"""Files of one matrix, as LucaOneApp, LucaOneTasks or numpy write them, and files that are something else."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lucaflow.downstream.matrix_files import parse_matrix
from lucaflow.exports.lucaone_files import _save

VALUES = np.array([[0.5, -1000.0, 3.25], [1.5, 128.0, -0.125]], dtype=np.float32)


def saved(values, **options) -> bytes:
    file = io.BytesIO()
    torch.save(values, file, **options)
    return file.getvalue()


def npy(values, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, values, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (VALUES, "float32"),
        (VALUES.astype(np.float16), "float16"),
        (VALUES.astype(np.float64), "float64"),
        (VALUES.astype(">f4"), "float32"),
        (np.asfortranarray(VALUES), "float32"),
        (torch.from_numpy(VALUES), "float32"),
        (torch.from_numpy(VALUES).to(torch.float16), "float16"),
        (torch.from_numpy(VALUES).to(torch.bfloat16), "bfloat16"),
        (torch.nn.Parameter(torch.from_numpy(VALUES)), "float32"),
    ],
)
def test_every_type_and_order_is_read_as_float32(values, dtype):
    contents = {"m.pt": saved(values)} | ({"m.npy": npy(values)} if isinstance(values, np.ndarray) else {})
    for name, content in contents.items():
        found = parse_matrix(name, content)
        assert (found.shape, found.dtype) == ((2, 3), dtype)
        assert found.as_float32().dtype == np.float32
        np.testing.assert_array_equal(found.as_float32(), VALUES)


def test_arrays_of_numpy_1_and_the_format_of_older_versions_of_torch_are_read():
    content = saved(VALUES, _use_new_zipfile_serialization=False)
    older = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert older != content
    for each in (content, older):
        np.testing.assert_array_equal(parse_matrix("m.pt", each).as_float32(), VALUES)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_code_is_refused_and_not_run(tmp_path):
    mark = tmp_path / "mark"
    objects = np.array([Touch(mark)], dtype=object)
    for name, content in {
        "alone.pt": saved(Touch(mark)),
        "beside.pt": saved({"matrix": VALUES, "x": Touch(mark)}),
        "within.pt": saved(objects),
        "old.pt": saved(Touch(mark), _use_new_zipfile_serialization=False),
        "bare.pt": pickle.dumps(Touch(mark)),
        "within.npy": npy(objects, allow_pickle=True),
    }.items():
        with pytest.raises(ValueError, match="no code in it was run") as error:
            parse_matrix(name, content)
        if name.endswith(".pt") and name != "bare.pt":
            assert str(error.value) == "holds code (io.open), not an array alone; no code in it was run"
        assert "weights_only" not in str(error.value), "torch advises to run the code"
    assert not mark.exists()


def compressed(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(name, before.read(name))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("m.pt", saved({"a": torch.zeros(1)}), "holds a dict, expected one array"),
        ("m.pt", saved(torch.zeros(2, 3, dtype=torch.int64)), "holds values of type int64, expected float32"),
        ("m.pt", saved(np.zeros((2, 3), dtype=np.int32)), "holds values of type i4, expected float32"),
        ("m.npy", npy(np.zeros((2, 3), dtype=np.int32)), "holds values of type int32, expected float32"),
        ("m.pt", saved(torch.zeros(2, 3).to_sparse()), "expected float32"),
        ("m.pt", saved(VALUES)[:-200], "is damaged"),
        ("m.pt", b"", "is damaged"),
        ("m.npy", npy(VALUES)[:-3], "is not an array as numpy writes it"),
        ("m.npy", saved(VALUES), "is not an array as numpy writes it"),
        ("m.pt", compressed(saved(torch.zeros(1000, 100))), "is a compressed archive"),
    ],
    ids=[
        "a table",
        "integers",
        "integers of numpy",
        "integers as numpy writes them",
        "sparse",
        "cut",
        "empty",
        "cut npy",
        "another format",
        "compressed",
    ],
)
def test_what_is_not_a_matrix_of_numbers(name, content, reason):
    with pytest.raises(ValueError, match=reason):
        parse_matrix(name, content)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_in_float32(value):
    with pytest.raises(ValueError, match="holds values that are not finite numbers"):
        parse_matrix("m.npy", npy(np.array([[0.0, value]]))).as_float32()


def test_a_shape_that_the_bytes_do_not_fill_takes_no_memory():
    content = saved(torch.zeros(1).expand(10**12, 3))
    assert parse_matrix("m.pt", content).shape == (10**12, 3)
    content = saved(VALUES, _use_new_zipfile_serialization=False).replace(b"K\x02K\x03\x86", b"K\x09K\x03\x86")
    with pytest.raises(ValueError, match="is damaged: its array is not as numpy writes it"):
        parse_matrix("m.pt", content)


def test_our_own_export_of_arrays_is_refused_with_what_to_write_instead(tmp_path):
    _save(VALUES, tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"is a pickle of version 4.*`save_type: tensor` in LucaFlow's export"):
        parse_matrix("m.pt", (tmp_path / "m.pt").read_bytes())
    _save(torch.from_numpy(VALUES), tmp_path / "t.pt")
    np.testing.assert_array_equal(parse_matrix("t.pt", (tmp_path / "t.pt").read_bytes()).as_float32(), VALUES)
