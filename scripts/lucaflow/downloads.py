"""Downloading a file over HTTP so that nothing is lost and nothing wrong is kept."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential
from tqdm import tqdm

from lucaflow.errors import CheckpointError, SpaceError
from lucaflow.files import human_bytes, require_space, sha256_of, synchronise

logger = logging.getLogger(__name__)

# What an interruption may cost at most, and what has to come for an attempt to count as headway.
_CHUNK_BYTES = 1 << 16
_HEADWAY_BYTES = 1 << 20
# What a server says when asking again later makes sense.
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NotThere(CheckpointError):
    """The server has no such file."""


class _Interrupted(Exception):
    """What goes wrong on the way, and may go right the next time. pause: seconds the server asks to wait."""

    def __init__(self, reason: str, pause: float = 0) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for: seconds, and how many attempts in a row may bring nothing new."""

    connect: float = 20
    read: float = 60
    attempts: int = 8
    first_pause: float = 1
    longest_pause: float = 120


PATIENCE = Patience()


@dataclass(frozen=True)
class _Version:
    """What tells one state of a file on a server from another; `total` bytes."""

    total: int | None
    etag: str | None
    last_modified: str | None

    @classmethod
    def of(cls, response: requests.Response) -> _Version:
        """Read it from an answer that holds the whole file, or a part of it."""
        headers = response.headers
        length = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", ""))
        total = length[1] if length else headers.get("Content-Length") if response.status_code == 200 else None
        return cls(int(total) if total else None, headers.get("ETag"), headers.get("Last-Modified"))

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong tag, or else a date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


class Progress(tqdm):
    """A bar on a terminal; elsewhere a line in the log now and then."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs = {"unit": "B", "unit_scale": True, **kwargs}
        if not sys.stderr.isatty():
            kwargs |= {"file": _LogLines(), "mininterval": 15, "maxinterval": 15, "ascii": True, "ncols": 100}
        super().__init__(*args, **kwargs)


class _LogLines:
    """A file whose lines go into the log."""

    def write(self, text: str) -> None:
        if text.strip():
            logger.info("%s", text.strip())

    def flush(self) -> None:
        """Lines are written at once."""


def download(
    url: str,
    target: Path,
    size: int | None = None,
    sha256: str | None = None,
    accept: Callable[[Path], None] | None = None,
    patience: Patience = PATIENCE,
) -> None:
    """Download a file; it gets its name when it is complete, durable and verified. What was interrupted is resumed.

    size, sha256: of the file where they are known; accept: raises for content that cannot be what was asked for.
    Raises CheckpointError for what asking again will not mend, and after `patience.attempts` that brought nothing new;
    NotThere where there is no such file; SpaceError when the disk is full. The part that came is kept, to go on from,
    unless it is wrong.
    """
    part = _Part(target)
    attempts = Retrying(
        retry=retry_if_exception_type(_Interrupted),
        stop=stop_after_attempt(patience.attempts),
        wait=lambda state: _pause(state, patience),
        before_sleep=_say_what_went_wrong,
        reraise=True,
    )
    with requests.Session() as session:
        try:
            while not attempts(_continue, session, url, part, sha256 is not None, patience):
                logger.info("%s: going on at %s", url, human_bytes(part.size))
        except _Interrupted as error:
            raise CheckpointError(
                f"{url}: {patience.attempts} attempts brought nothing new; the last one: {error}. "
                f"{human_bytes(part.size)} are kept. Run again to go on from there."
            ) from error
    _verify(url, part, size, sha256, accept)
    synchronise(part.path)
    part.path.replace(target)
    part.forget()
    synchronise(target.parent)


def _pause(state: RetryCallState, patience: Patience) -> float:
    growing = wait_exponential(patience.first_pause, max=patience.longest_pause)(state)
    asked = state.outcome.exception().pause if state.outcome else 0  # type: ignore[union-attr]
    return min(max(growing, asked), patience.longest_pause)


def _say_what_went_wrong(state: RetryCallState) -> None:
    if state.outcome and state.next_action:
        logger.warning("%s. Trying again in %.0f s.", state.outcome.exception(), state.next_action.sleep)


class _Part:
    """The part of a file that has come, and of which version of the file it is."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.download")
        self._about = target.with_name(f".{target.name}.download.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> _Version:
        """Which version the part is of. A record that was cut off says nothing."""
        try:
            return _Version(**json.loads(self._about.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return _Version(None, None, None)

    def begin(self, version: _Version) -> None:
        self.forget()
        self._about.write_text(json.dumps(asdict(version)), encoding="utf-8")

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)


def _continue(session: requests.Session, url: str, part: _Part, digest_is_known: bool, patience: Patience) -> bool:
    """Go on with a download; return whether the file is complete.

    Raises _Interrupted unless at least a megabyte came. A part is gone on with where the server can tell that the file
    is still the same, or a digest will.
    """
    offset, version = part.size, part.version
    if offset and offset == version.total:
        return True
    if offset and not version.validator and not digest_is_known:
        part.forget()
        offset = 0
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        headers |= {"If-Range": version.validator} if version.validator else {}
    try:
        with session.get(url, headers=headers, stream=True, timeout=(patience.connect, patience.read)) as response:
            _check_status(url, response, part)
            if offset and not _is_the_rest(response, offset, version):
                logger.warning("%s: the server gives the file from its beginning, or it has changed", url)
                offset = 0
                if response.status_code == 206:
                    part.forget()
                    return False
            if not offset:
                part.begin(_Version.of(response))
            _receive(url, response, part, offset)
    except requests.RequestException as error:
        if part.size < offset + _HEADWAY_BYTES:
            raise _Interrupted(f"{url}: {_reason(error)}") from error
        logger.warning("%s: %s", url, _reason(error))
        return False
    return True


def _check_status(url: str, response: requests.Response, part: _Part) -> None:
    status = response.status_code
    if status == 416:
        part.forget()
        raise _Interrupted(f"{url}: what has come is longer than the file, and is dropped")
    if status in _PASSING_STATUS:
        asked = response.headers.get("Retry-After", "")
        raise _Interrupted(f"{url}: {status} {response.reason}", float(asked) if asked.isdecimal() else 0)
    if status in (404, 410):
        raise NotThere(f"{url}: the server has no such file ({status} {response.reason}).")
    if status not in (200, 206):
        raise CheckpointError(
            f"{url}: the server answers {status} {response.reason}. Look at the address in a browser; "
            "a login or a proxy may be needed."
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise CheckpointError(
            f"{url}: the server sends a web page instead of the file; nothing was kept. Look at the address in a "
            "browser: a login or a proxy may be needed."
        )


def _is_the_rest(response: requests.Response, offset: int, version: _Version) -> bool:
    """Say whether an answer goes on where the part ends, in the same version of the file."""
    now = _Version.of(response)
    return (
        response.status_code == 206
        and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        and (version.total is None or now.total == version.total)
        and (now.etag is None or now.etag == version.etag)
    )


def _receive(url: str, response: requests.Response, part: _Part, offset: int) -> None:
    total = _Version.of(response).total
    if total is not None:
        require_space(part.path.parent, total - offset, f"the rest of {url}")
    try:
        with (
            part.path.open("ab") as file,
            Progress(total=total, initial=offset, desc=url.rsplit("/", 1)[1]) as progress,
        ):
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                progress.update(len(chunk))
    except OSError as error:
        if error.errno not in _FULL_DISK:
            raise
        raise SpaceError(
            f"{part.path.parent.resolve()}: the disk, or what you may use of it, is full ({os.strerror(error.errno)}). "
            f"{human_bytes(part.size)} of {url} are kept. Make room, or set checkpoints.directory to another disk; "
            "then run again to go on from there."
        ) from error


def _reason(error: requests.RequestException) -> str:
    """Say what went wrong without the wrappings of three libraries."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the connection stalled"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return f"{type(error).__name__}: {error}"


def _verify(url: str, part: _Part, size: int | None, sha256: str | None, accept: Callable[[Path], None] | None) -> None:
    """Raise CheckpointError, and drop what has come, unless it is the file that was asked for."""
    expected = size if size is not None else part.version.total
    try:
        if expected is not None and part.size != expected:
            raise CheckpointError(
                f"{url}: {part.size} bytes have come, expected {expected}. Run again to fetch it anew."
            )
        if accept:
            accept(part.path)
        if sha256 and (found := sha256_of(part.path)) != sha256:
            raise CheckpointError(
                f"{url}: its digest is {found}, expected {sha256}. The file was changed, or damaged on its way; "
                "nothing was kept."
            )
    except CheckpointError:
        part.forget()
        raise
