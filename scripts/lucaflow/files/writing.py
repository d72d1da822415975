"""Files that appear under their final name only when they are complete, and digests of files."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lucaflow.errors import SpaceError

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(path: Path, *, guarded: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; make it durable and rename it when the block succeeds.

    If the block raises, the temporary file goes and whatever stood at `path` stays. What processes of this machine that
    were killed left of the same file goes as well. guarded: whether a checksum of it is kept, for `verify`.
    """
    with temporary_beside(path) as temporary:
        yield temporary
        if guarded:
            write_guard(path, temporary)
        publish(temporary, path)


def guard_of(path: Path) -> Path:
    """Return where the checksum of a result, or those of a folder's files, stand: a file for `sha256sum --check`."""
    return path.with_name(f".{path.name}.sha256")


def write_guard(path: Path, written: Path) -> None:
    """Write the checksum of what will be called `path` and is still at `written`: a file, or a folder of files."""
    with replacing(guard_of(path)) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as lines:
        if written.is_dir():
            lines.writelines(f"{sha256_of(file)}  {path.name}/{file.name}\n" for file in written.iterdir())
        else:
            lines.write(f"{sha256_of(written)}  {path.name}\n")


def differences_from_guard(path: Path) -> Iterator[str]:
    """Yield how a guarded result differs from what was written. Files that were added to a folder are no difference."""
    damaged = f"its checksum in {guard_of(path).name} is damaged"
    with guard_of(path).open(encoding="utf-8", newline="\n") as lines:
        if not guard_of(path).stat().st_size:
            yield damaged
        for line in lines:
            digest, _, name = line.removesuffix("\n").partition("  ")
            file = path.parent / name
            if not name or not file.is_relative_to(path):
                yield damaged
            elif not file.is_file():
                yield f"{name} is missing"
            elif sha256_of(file) != digest:
                yield f"{name} is not what was written" if path.is_dir() else "not what was written"


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Give a private temporary file beside `path`, which goes with the block if it still has that name."""
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
    """Make a file durable and give it its name. mode: of its access, by default what the umask says.

    keep: whether it keeps its old name as well, where the file system allows a file two names.
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
    """Give a file a second name; say whether the file system allows that."""
    try:
        path.hardlink_to(file)
    except OSError as error:
        logger.info("%s gets no second name (%s)", file, error)
        return False
    return True


@contextmanager
def replacing_folder(path: Path, *, guarded: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `path`; make its files durable and rename it when the block succeeds.

    If the block raises, the temporary folder goes and whatever stood at `path` stays. What processes of this machine
    that were killed left of the same folder goes as well. guarded: as for a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in _left_behind(path):
        shutil.rmtree(left)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path, os.getpid()), suffix=".part"))
    try:
        yield temporary
        temporary.chmod(0o777 & ~current_umask())
        for file in temporary.iterdir():
            synchronise(file)
        synchronise(temporary)
        if guarded:
            write_guard(path, temporary)
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
        synchronise(path.parent)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def _prefix(path: Path, process: int) -> str:
    """Return how the names of temporary files begin that a process of this machine writes for `path`."""
    return f".{path.name}.{platform.node()}-{process}."


def _left_behind(path: Path) -> Iterator[Path]:
    """Yield the temporary files for `path` whose process, on this machine, is gone."""
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
    """Return the process's umask: mkstemp makes private files, results follow the umask."""
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


def write_text(path: Path, text: str, *, guarded: bool = True) -> None:
    """Write UTF-8 text under its final name, completely or not at all. guarded: whether its checksum is kept."""
    with replacing(path, guarded=guarded) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as TSV under its final name, completely or not at all."""
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n", float_format="%.9g"))


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def describe(path: Path) -> dict[str, Any]:
    """Return a file's size in bytes and its digest."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def human_bytes(size: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def require_space(
    folder: Path, needed: int, what: str, otherwise: str = "set checkpoints.directory to another disk"
) -> None:
    """Raise SpaceError if a disk has less than `needed` bytes left. otherwise: what to do but make room."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SpaceError(
            f"{what} needs {human_bytes(needed)}, but the disk of {folder.resolve()} has {human_bytes(free)} left. "
            f"Make room, or {otherwise}."
        )


def is_full_disk(error: Exception) -> bool:
    """Say whether an error means that a disk, or what one may use of it, is full, also in the words of HDF5."""
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return True
    return isinstance(error, (OSError, RuntimeError)) and any(f"errno = {code}," in str(error) for code in _FULL_DISK)


@contextmanager
def explaining_a_full_disk(folder: Path, consequence: str) -> Iterator[None]:
    """Turn the error of a full disk, or of a quota that is used up, into one that says what to do."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise SpaceError(
            f"{folder.resolve()}: the disk, or what you may use of it, is full ({error.strerror}). "
            f"{consequence}. Make room, or set checkpoints.directory to another disk; then run again."
        ) from error
