"""Where are the results of passes kept, so that a killed job goes on, and a further variant costs its own passes alone?

A file is a database of SQLite with a row for each pass, by the digest of its sequence and its name. What is committed
survives a kill at any moment. A job writes one file under a lock, and reads those of other jobs beside it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import numpy as np

from lucaflow.errors import StoreError
from lucaflow.files.locks import is_free, locked
from lucaflow.scores.pass_files import SUFFIX
from lucaflow.scores.requests import kind_of

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_COMMITS = 2
_LOCK_TIMEOUT = 600
# Until a reader of the file has finished.
_SECONDS_TO_WAIT = 60
_TABLES = """
CREATE TABLE IF NOT EXISTS passes (
    sequence BLOB, name TEXT, columns INTEGER, numbers BLOB, checksum INTEGER, PRIMARY KEY (sequence, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS computed (
    sequence BLOB, kind TEXT, tokens INTEGER, PRIMARY KEY (sequence, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value INTEGER);
"""
_ADD_TOKENS = "INSERT INTO computed VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET tokens = tokens + ?3"
_NOT_A_DATABASE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class PassStore:
    """The results of passes: those in a file of this job, and those in the files of other jobs in its folder.

    A result is an array (r, c) of float32. Use it as a context manager, under `locked_store`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._own = _opened_or_anew(path)
        # The path of each file that is open, for messages.
        self._paths = {self._own: path}
        self._paths |= {found: other for other in _others(path) if (found := _opened(other))}
        # Which of the others have passes of a sequence: there may be hundreds of files.
        self._having: dict[bytes, list[sqlite3.Connection]] = {}
        for database in [*self._paths][1:]:
            for (sequence,) in self._rows(database, "SELECT DISTINCT sequence FROM passes"):
                self._having.setdefault(sequence, []).append(database)
        self._committed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with _damage_named(self.path):
                self._own.commit()
        finally:
            for database in self._paths:
                database.close()

    def names(self, digest: str) -> set[str]:
        """Return the names of the passes of a sequence that have a sound result. Those of damaged ones are logged."""
        query = "SELECT name, numbers, checksum FROM passes WHERE sequence = ?"
        sequence = bytes.fromhex(digest)
        sound: set[str] = set()
        damaged: dict[str, Path] = {}
        for database in (self._own, *self._having.get(sequence, ())):
            for name, numbers, checksum in self._rows(database, query, sequence):
                if _is_sound(digest, name, numbers, checksum):
                    sound.add(name)
                else:
                    damaged[name] = self._paths[database]
        for name in sorted(damaged.keys() - sound):
            logger.warning(
                "%s: the result of pass %s of sequence %s is damaged; this pass is computed again",
                damaged[name], name, digest,
            )  # fmt: skip
        return sound

    def get(self, digest: str, name: str) -> np.ndarray | None:
        """Return the result of a pass; None if there is none, or if it is damaged."""
        query = "SELECT columns, numbers, checksum FROM passes WHERE sequence = ? AND name = ?"
        sequence = bytes.fromhex(digest)
        for database in (self._own, *self._having.get(sequence, ())):
            for columns, numbers, checksum in self._rows(database, query, sequence, name):
                if _is_sound(digest, name, numbers, checksum):
                    return np.frombuffer(numbers, dtype="<f4").reshape(-1, columns)
        return None

    def get_all(self, digest: str, names: Sequence[str]) -> np.ndarray:
        """Return the results of several passes, one below the other. Raises StoreError if one is missing."""
        found = [self.get(digest, name) for name in names]
        missing = [name for name, rows in zip(names, found, strict=True) if rows is None]
        if missing:
            raise StoreError(
                f"{self.path}: the result of pass {missing[0]} of sequence {digest} is missing or damaged, here and in "
                "the files beside it. Run again: only the passes without a sound result are computed."
            )
        return np.concatenate([rows for rows in found if rows is not None])

    def add(self, digest: str, results: Iterable[tuple[str, np.ndarray]], tokens: int) -> None:
        """Add the results of passes, of which a kill of this process may lose those of the last seconds.

        tokens: that went through the network for them.
        """
        sequence = bytes.fromhex(digest)
        rows = []
        for name, values in results:
            numbers = np.ascontiguousarray(values, dtype="<f4").tobytes()
            rows.append((sequence, name, values.shape[-1], numbers, _checksum(digest, name, numbers)))
        kinds = Counter(kind_of(name) for _, name, *_ in rows)
        shares = [(sequence, kind, tokens * count // len(rows)) for kind, count in kinds.items()]
        with _damage_named(self.path):
            self._own.executemany("INSERT OR REPLACE INTO passes VALUES (?, ?, ?, ?, ?)", rows)
            self._own.executemany(_ADD_TOKENS, shares)
            if time.monotonic() - self._committed >= _SECONDS_BETWEEN_COMMITS:
                self._own.commit()
                self._committed = time.monotonic()

    def budget(self, device: str) -> int | None:
        """Return the tokens at once of an earlier job on this device, with which values are the same to the bit."""
        for (value,) in self._rows(self._own, "SELECT value FROM notes WHERE name = ?", f"budget on {device}"):
            return int(value)
        return None

    def record_budget(self, device: str, tokens: int) -> None:
        with _damage_named(self.path):
            self._own.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (f"budget on {device}", tokens))
            self._own.commit()

    def _rows(self, database: sqlite3.Connection, query: str, *values: object) -> Iterator[tuple]:
        return _rows(database, self._paths[database], query, values)


@contextmanager
def locked_store(path: Path, activity: str) -> Iterator[PassStore]:
    """Open the file of a job; wait for another job that writes it, such as one of a Snakemake that was killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock_of(path), activity, required=False, timeout=_LOCK_TIMEOUT), PassStore(path) as store:
        yield store


def lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def tokens_computed(folder: Path) -> Counter[tuple[bytes, str]]:
    """Return how many tokens went through the network for the results in a folder.

    They are counted for each sequence, by its digest (32 bytes), and kind of pass.
    """
    total: Counter[tuple[bytes, str]] = Counter()
    for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):
        database = _opened(path, "ro")
        if database is None:
            continue
        with closing(database):
            # A file that was begun by an earlier version has no such table.
            tables = "SELECT name FROM sqlite_master WHERE name = 'computed'"
            if [*_rows(database, path, tables, ())]:
                for sequence, kind, tokens in _rows(database, path, "SELECT * FROM computed", ()):
                    total[sequence, kind] += tokens
    return total


def _others(path: Path) -> list[Path]:
    """Return the files of other jobs in the folder that no job writes now."""
    found = [other for other in sorted(path.parent.glob(f"[!.]*{SUFFIX}")) if other != path]
    return [other for other in found if not lock_of(other).exists() or is_free(lock_of(other))]


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a file. mode: `rwc` to write it, which begins one that is not there; `rw`, `ro` to read it.

    The lock beside the file decides who writes. SQLite's own is held besides, so that a reader does not take a job that
    writes for one that was killed; some file systems have no such locks.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    for vfs in ("", "&vfs=unix-none"):
        database = sqlite3.connect(uri + vfs, uri=True, timeout=_SECONDS_TO_WAIT)
        try:
            database.execute("BEGIN IMMEDIATE" if mode == "rwc" else "SELECT count(*) FROM sqlite_master").fetchone()
            database.commit()
        except sqlite3.OperationalError as error:
            database.close()
            if vfs or "lock" not in str(error):
                raise
        else:
            return database
    raise AssertionError


def _opened(path: Path, mode: str = "rw") -> sqlite3.Connection | None:
    """Open the file of another job to read it; None if it is damaged. mode: `ro` changes nothing of it.

    In `rw` what a killed job has left half-written is taken back.
    """
    try:
        return _connect(path, mode)
    except sqlite3.DatabaseError as error:
        if mode == "rw":
            logger.warning("Cannot reuse %s (%s); its passes will be computed again.", path, error)
        return None


def _opened_or_anew(path: Path) -> sqlite3.Connection:
    """Open the file of this job, or begin with an empty one if it is damaged."""
    try:
        database = _connect(path, "rwc")
        database.executescript(_TABLES)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in _NOT_A_DATABASE:
            raise StoreError(f"{path} cannot be used now, and was left unchanged: {error}") from error
        logger.warning("Cannot reuse %s (%s); its passes will be computed again.", path, error)
        path.unlink()
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        database = _connect(path, "rwc")
        database.executescript(_TABLES)
    return database


def _rows(database: sqlite3.Connection, path: Path, query: str, values: Sequence[object]) -> Iterator[tuple]:
    """Yield the rows of a query, up to the place where the file is damaged."""
    try:
        yield from database.execute(query, values)
    except sqlite3.DatabaseError as error:
        logger.warning("%s is damaged (%s); the passes that cannot be read are computed again", path, error)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Raise StoreError that names the file if a database turns out to be damaged while it is written."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) not in _NOT_A_DATABASE:
            raise
        raise StoreError(
            f"{path} is damaged ({error}). Delete this file, and run again: the passes in it are computed again, those "
            "in other files are kept."
        ) from error


def _is_sound(digest: str, name: str, numbers: bytes, checksum: int) -> bool:
    return _checksum(digest, name, numbers) == checksum


def _checksum(digest: str, name: str, numbers: bytes) -> int:
    return zlib.crc32(numbers, zlib.crc32(f"{digest} {name}".encode()))
