"""Write files and folders so that they get their final name only when they are complete."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; flush it to the disk and rename it when the block succeeds.

    If the block raises, the temporary file is removed and an existing file at `path` is kept. Temporary files for
    `path` from killed processes of this machine are removed too.
    """
    with temporary_beside(path) as temporary:
        yield temporary
        publish(temporary, path)


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Yield a private temporary file beside `path`; remove it after the block unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in _left_behind(path):
        left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path, os.getpid()), suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def publish(file: Path, path: Path, mode: int | None = None, keep: bool = False) -> None:
    """Flush a file to the disk and give it its final name.

    mode: its permissions, by default those of the umask; keep: also keep the old name, if the file system has hard
    links.
    """
    if file.stat().st_uid == os.geteuid():
        file.chmod(0o666 & ~current_umask() if mode is None else mode)
    synchronise(file)
    if keep:
        with temporary_beside(path) as second:
            second.unlink()
            (second if _is_linked(second, file) else file).replace(path)
    else:
        file.replace(path)
    synchronise(path.parent)


def _is_linked(path: Path, file: Path) -> bool:
    """Give a file a second name; return whether the file system allows that."""
    try:
        path.hardlink_to(file)
    except OSError as error:
        logger.info("%s cannot have a second name (%s)", file, error)
        return False
    return True


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; flush its files to the disk and rename it when the block succeeds.

    If the block raises, the temporary folder is removed and an existing folder at `path` is kept. Temporary folders
    for `path` from killed processes of this machine are removed too.
    """
    with temporary_folder_beside(path) as temporary:
        yield temporary
        temporary.chmod(0o777 & ~current_umask())
        for file in temporary.iterdir():
            synchronise(file)
        synchronise(temporary)
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
        synchronise(path.parent)


@contextmanager
def temporary_folder_beside(path: Path) -> Iterator[Path]:
    """Yield a private folder beside `path`; remove it after the block unless it was renamed.

    Temporary folders for `path` from killed processes of this machine are removed too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in _left_behind(path):
        shutil.rmtree(left)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path, os.getpid()), suffix=".part"))
    try:
        yield temporary
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def _prefix(path: Path, process: int) -> str:
    """Return the start of the names of the temporary files that a process of this machine writes for `path`."""
    return f".{path.name}.{platform.node()}-{process}."


def _left_behind(path: Path) -> Iterator[Path]:
    """Yield the temporary files for `path` whose process on this machine has ended."""
    start = f".{path.name}.{platform.node()}-"
    for other in path.parent.glob(".*.part"):
        process = other.name.removeprefix(start).split(".")[0]
        if other.name.startswith(start) and process.isdecimal() and not _is_running(int(process)):
            yield other


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def current_umask() -> int:
    """Return the process's umask. mkstemp makes private files, but results get the permissions of the umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def synchronise(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text under its final name, completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as TSV under its final name, completely or not at all."""
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n", float_format="%.9g"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file under its final name, completely or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")
