"""Replace packages that the library imports and that a machine with a GPU may lack.

The tests and measurements of this folder need only torch, h5py and numpy. Of safetensors, tqdm and Biopython they use
one thing each, which is here. Other packages are imported by modules that they load, but not used.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

USED = ("safetensors", "tqdm", "Bio")
NOT_USED = ("yaml", "pandas", "backports.zstd")


class Tensors:
    """An open safetensors file of float32 tensors, which are memory-mapped; in place of safetensors.safe_open."""

    def __init__(self, path: str | Path, framework: str = "pt") -> None:  # noqa: ARG002
        self.path = path
        with Path(path).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self.header = json.loads(file.read(length))
        self.header.pop("__metadata__", None)
        self.start = 8 + length

    def __enter__(self) -> Tensors:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def keys(self) -> list[str]:
        return list(self.header)

    def get_slice(self, name: str) -> Shape:
        return Shape(self.header[name]["shape"])

    def get_tensor(self, name: str) -> Any:
        import numpy as np
        import torch

        entry = self.header[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"{self.path}: {name} is {entry['dtype']}, expected F32; install safetensors")
        first, _ = entry["data_offsets"]
        # Copy on write, as in safetensors: torch knows no arrays that cannot be changed.
        return torch.from_numpy(np.memmap(self.path, "<f4", "c", self.start + first, tuple(entry["shape"])))


class Shape:
    """The shape of a tensor, without its values."""

    def __init__(self, shape: list[int]) -> None:
        self.shape = shape

    def get_shape(self) -> list[int]:
        return self.shape


def load_file(path: str | Path) -> dict[str, Any]:
    """Return all tensors of a safetensors file; in place of safetensors.torch.load_file."""
    with Tensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


class NoBar:
    """Counts, and shows nothing; in place of tqdm.tqdm."""

    def __init__(self, *_: Any, initial: int = 0, total: int | None = None, disable: bool = False, **__: Any) -> None:
        self.n = initial
        self.total = total
        self.disable = disable

    def __enter__(self) -> NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def format_dict(self) -> dict[str, Any]:
        return {"n": self.n, "total": self.total}

    @staticmethod
    def format_meter(n: int, total: int | None, **_: Any) -> str:
        return f"{n} of {total}"

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        pass

    def update(self, count: int = 1) -> None:
        self.n += count

    def close(self) -> None:
        pass


def two_line_records(handle: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the title and the residues of each record; in place of Bio.SeqIO.FastaIO.FastaTwoLineParser."""
    lines = iter(handle)
    for title in lines:
        if not title.startswith(">"):
            raise ValueError(f"expected a title that begins with `>`, not {title!r}")
        yield title[1:].rstrip(), next(lines, "").strip()


class Missing(ModuleType):
    """A module that can be imported, but not used."""

    IS_STAND_IN = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        package = self.__name__

        class NotHere:
            def __init__(self, *_: Any, **__: Any) -> None:
                _refuse(package, name)

        return NotHere


def _refuse(package: str, name: str) -> NoReturn:
    raise ModuleNotFoundError(f"{package}.{name} is needed, but {package.partition('.')[0]} is not installed")


def _module(name: str, **contents: Any) -> None:
    """Put a module with these contents at a dotted name, and empty ones above it."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        dotted = ".".join(parts[:end])
        if dotted not in sys.modules:
            sys.modules[dotted] = Missing(dotted)
            sys.modules[dotted].__path__ = []  # so that modules below it can be imported
            sys.modules[dotted].__spec__ = ModuleSpec(dotted, None)  # torch's compiler looks at it
            if end > 1:
                setattr(sys.modules[".".join(parts[: end - 1])], parts[end - 1], sys.modules[dotted])
    vars(sys.modules[name]).update(contents)


def is_missing(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError:
        return True


def install() -> list[str]:
    """Replace the packages that are missing; return their names."""
    missing = [name for name in (*USED, *NOT_USED) if is_missing(name)]
    if "safetensors" in missing:
        _module("safetensors", safe_open=Tensors, SafetensorError=ValueError)
        _module("safetensors.torch", load_file=load_file)
    if "tqdm" in missing:
        _module("tqdm", tqdm=NoBar)
    if "Bio" in missing:
        _module("Bio.SeqIO.FastaIO", FastaTwoLineParser=two_line_records)
    for name in set(missing) & set(NOT_USED):
        _module(name)
    if "pandas" in missing:
        _module("pandas.io.parsers")
    return missing
