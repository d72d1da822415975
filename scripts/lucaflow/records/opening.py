"""How is a file opened as text, whether it is packed or not?"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["open_text", "zstd"]

_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": zstd.ZstdFile,
}


def open_text(path: Path) -> io.TextIOWrapper:
    """Open a file as UTF-8 text with universal newlines. It is unpacked if its first bytes show that it is packed."""
    with path.open("rb") as handle:
        magic = handle.read(6)
    opener = next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), None)
    return io.TextIOWrapper(opener(path) if opener else path.open("rb"), encoding="utf-8-sig")
