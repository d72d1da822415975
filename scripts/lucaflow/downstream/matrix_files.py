"""Read a matrix that another program has written, as a file of torch or numpy. No code in the file is run."""

from __future__ import annotations

import re
import warnings
import zipfile
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib import format as npy

from lucaflow.errors import shown

_TYPES_OF_TORCH = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_TYPES_OF_NUMPY = ("f2", "f4", "f8")
# What a pickle wants to call, in torch's message.
_NAMED_CODE = re.compile(r"GLOBAL (\S+)")
# torch's restricted loader reads what torch writes by itself.
_PROTOCOL_MARKS = (b"\x80\x03", b"\x80\x04", b"\x80\x05")


class Matrix(NamedTuple):
    """An array as its file has it. dtype: its type there, such as `float16`."""

    shape: tuple[int, ...]
    dtype: str
    values: torch.Tensor | np.ndarray

    def as_float32(self) -> np.ndarray:
        """Return the values (n, E). Raises ValueError if some are not finite in float32."""
        values = self.values if isinstance(self.values, torch.Tensor) else torch.from_numpy(self.values.copy())
        found = values.to(torch.float32)
        if not torch.isfinite(found).all():
            raise ValueError("holds values that are not finite numbers (NaN or infinite)")
        return found.numpy()


def parse_matrix(name: str, content: bytes) -> Matrix:
    """Return the array in a file of this name: `.npy` as numpy writes it, or else as torch does.

    Raises ValueError that completes a sentence which begins with the file's name.
    """
    return _parse_npy(content) if name.endswith(".npy") else _parse_torch(content)


def _parse_npy(content: bytes) -> Matrix:
    try:
        values = npy.read_array(BytesIO(content), allow_pickle=False)
    # For damaged files numpy raises several kinds of errors.
    except Exception as error:
        raise _unusable(error, "is not an array as numpy writes it") from error
    if values.dtype.str[1:] not in _TYPES_OF_NUMPY:
        raise ValueError(f"holds values of type {values.dtype}, expected float32 or another type of real numbers")
    native = values.astype(values.dtype.newbyteorder("="))
    return Matrix(native.shape, native.dtype.name, native)


def _parse_torch(content: bytes) -> Matrix:
    """Return the one array of a file. Pickled numpy arrays, which LucaOneApp writes by default, are read as well."""
    _refuse_unreadable_archive(content)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_OF_NUMPY):
            warnings.simplefilter("ignore")
            found = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    # For damaged files torch raises many kinds of errors.
    except Exception as error:
        raise _unusable(error, "is damaged, or holds something else than an array") from error
    if isinstance(found, _PickledArray):
        return found.matrix()
    if not isinstance(found, torch.Tensor):
        raise ValueError(f"holds {_article(type(found).__name__)}, expected one array (rows, width)")
    if found.layout != torch.strided or found.device.type != "cpu" or found.dtype not in _TYPES_OF_TORCH:
        kind = str(found.dtype).removeprefix("torch.")
        raise ValueError(f"holds values of type {kind}, expected float32 or another type of real numbers")
    return Matrix(tuple(found.shape), str(found.dtype).removeprefix("torch."), found.detach())


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _unusable(error: Exception, what: str) -> Exception:
    """Return the error for a file that cannot be read: that of its content, or of a lack of memory."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return MemoryError(str(error))
    text = str(error)
    if named := _NAMED_CODE.search(text):
        return ValueError(f"holds code ({shown(named[1])}), not an array alone; no code in it was run")
    # torch's own message advises to run the code in the file.
    cause = "" if text.startswith("Weights only") else shown(text.partition(". ")[0].strip())
    return ValueError(f"{what}; no code in it was run ({cause or type(error).__name__})")


def _refuse_unreadable_archive(content: bytes) -> None:
    """Raise ValueError for an archive that grows when unpacked, and for another protocol than torch's own."""
    if not zipfile.is_zipfile(BytesIO(content)):
        return
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(content):
                raise ValueError("is a compressed archive, which torch does not write; no code in it was run")
            pickled = [name for name in archive.namelist() if name.endswith("data.pkl")]
            start = archive.open(pickled[0]).read(2) if pickled else b""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise _unusable(error, "is damaged") from error
    if start in _PROTOCOL_MARKS:
        raise ValueError(
            f"is a pickle of version {start[1]}, such as of a numpy array; torch's restricted loader reads version 2. "
            "No code in it was run. Write it as a tensor (`save_type: tensor` in LucaFlow's export) or with numpy.save"
        )


class _PickledType:
    """Takes the place of numpy's type of values, so that none of numpy's code is called by a file."""

    def __init__(self, code: str = "", *_: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _PickledArray:
    """Takes the place of a numpy array while a file is read: it keeps what numpy would be given."""

    state: tuple[Any, ...] = ()

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def matrix(self) -> Matrix:
        """Return the array. Raises ValueError for another type, and for a shape that its bytes do not fill."""
        try:
            _, shape, kind, by_column, content = self.state
            code, order = kind.code, kind.order
        except (ValueError, AttributeError) as error:
            raise ValueError("is damaged: its array is not as numpy writes it") from error
        if code not in _TYPES_OF_NUMPY or order not in ("<", ">", "=", "|"):
            raise ValueError(f"holds values of type {shown(code)}, expected float32 or another type of real numbers")
        try:
            values = np.frombuffer(content, dtype=f"{order}{code}").reshape(shape, order="F" if by_column else "C")
        except (ValueError, TypeError) as error:
            raise ValueError(f"is damaged: its array is not as numpy writes it ({shown(error)})") from error
        native = values.astype(values.dtype.newbyteorder("="))
        return Matrix(native.shape, native.dtype.name, native)


def _empty_array(*_: Any) -> _PickledArray:
    return _PickledArray()


# What a pickled array names, in numpy 1 and 2, and in LucaFlow's export.
_OF_NUMPY: list[Any] = [
    (_empty_array, "numpy.core.multiarray._reconstruct"),
    (_empty_array, "numpy._core.multiarray._reconstruct"),
    (_PickledArray, "numpy.ndarray"),
    (_PickledType, "numpy.dtype"),
]
