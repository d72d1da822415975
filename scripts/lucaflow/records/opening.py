"""How is a file opened as text, whether it is packed or not?"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from lucaflow.errors import InputError
from lucaflow.records.foreign import HEAD_BYTES, foreign_format

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["open_bytes", "open_text", "refuse_foreign", "zstd"]

_ZSTD = b"\x28\xb5\x2f\xfd"
# A frame without content, with which pzstd begins.
_ZSTD_SKIPPABLE = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
# The largest window of `zstd --long=31`: 2 GB, of which only as much is used as the file has.
_ZSTD_WINDOW_LOG = 31


def _open_zstd(path: Path) -> Any:
    return zstd.ZstdFile(path, options={int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG})


_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    _ZSTD: _open_zstd,
    **dict.fromkeys(_ZSTD_SKIPPABLE, _open_zstd),
}


def open_text(path: Path) -> io.TextIOWrapper:
    """Open a file as UTF-8 text with universal newlines. It is unpacked if its first bytes show that it is packed."""
    return io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig")


def open_bytes(path: Path) -> BinaryIO:
    """Open a file as bytes. It is unpacked if its first bytes show that it is packed."""
    with path.open("rb") as handle:
        opener = _opener(handle.read(6))
    return opener(path) if opener else path.open("rb")


def refuse_foreign(path: Path) -> None:
    """Raise InputError that names the format of a file if it is neither FASTA nor a table, and says what to do."""
    with open_bytes(path) as handle:
        head = handle.read(HEAD_BYTES)
    with path.open("rb") as handle:
        is_packed = _opener(handle.read(6)) is not None
    if is_packed and _opener(head):
        raise InputError(f"{path}: packed twice. Unpack it once, and give the file that is still packed.")
    if found := foreign_format(head, path):
        what, remedy = found
        expected = "" if what.startswith("not ") else ", not FASTA, CSV or TSV"
        name = "UNPACKED_FILE" if is_packed and "tar xf" not in remedy else path.name
        raise InputError(f"{path}{', unpacked' * is_packed}: {what}{expected}. {remedy.replace('FILE', name)}")


def _opener(start: bytes) -> Callable[[Path], Any] | None:
    return next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
