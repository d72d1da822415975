"""Downloading a file over HTTP so that nothing is lost and nothing wrong is kept."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of
from lucaflow.files.json_files import parse_json
from lucaflow.files.space import explaining_a_full_disk, human_bytes, require_space
from lucaflow.files.writing import synchronise, write_json
from lucaflow.logs import Progress

logger = logging.getLogger(__name__)

# What an interruption may cost.
_CHUNK_BYTES = 1 << 16
# What a server says when asking again later makes sense.
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)


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

    url: str
    total: int | None
    etag: str | None
    last_modified: str | None

    @classmethod
    def of(cls, url: str, response: requests.Response) -> _Version:
        """Read it from an answer that holds the whole file, or a part of it."""
        headers = response.headers
        span = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", ""))
        total = span[1] if span else headers.get("Content-Length", "") if response.status_code == 200 else ""
        return cls(url, int(total) if total.isdecimal() else None, headers.get("ETag"), headers.get("Last-Modified"))

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong tag, or else a date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def is_repeated_by(self, other: _Version) -> bool:
        """Say whether another answer shows that it is of the same state of the file."""
        same_length = self.total is None or other.total == self.total
        return same_length and self.validator is not None and other.validator == self.validator


def download(
    url: str, target: Path, size: int | None = None, sha256: str | None = None, patience: Patience = PATIENCE
) -> str:
    """Download a file beside `target` and return its hex SHA-256; `publish` then gives it its name.

    What was interrupted is gone on with. size, sha256: of the file, where they are known. Raises CheckpointError for
    what asking again will not mend, and after `patience.attempts` in a row that brought nothing new; NotThere where
    there is no such file; SpaceError when the disk is full. The part that came is kept, unless it is wrong.
    """
    part = _Part(target)
    attempts = Retrying(
        retry=retry_if_exception_type(_Interrupted),
        stop=lambda _: part.in_vain >= patience.attempts,
        wait=lambda state: _pause(state, part, patience),
        before_sleep=_say_what_went_wrong,
        reraise=True,
    )
    with requests.Session() as session:
        try:
            attempts(_continue, session, url, part, sha256 is not None, patience)
        except _Interrupted as error:
            raise CheckpointError(
                f"{url}: {patience.attempts} attempts brought nothing new; the last one: {error}. "
                f"{human_bytes(part.size)} are kept. Run again to go on from there, or fetch where there is a "
                "connection and copy checkpoints.directory."
            ) from error
    return _verify(url, part, size, sha256)


def publish(target: Path) -> None:
    """Give a downloaded file its name, durably."""
    part = _Part(target)
    synchronise(part.path)
    part.path.replace(target)
    part.forget()
    synchronise(target.parent)


def discard(target: Path) -> None:
    """Remove what was downloaded of a file."""
    _Part(target).forget()


def part_of(target: Path) -> Path:
    """Return where a file is until it gets its name."""
    return _Part(target).path


def _pause(state: RetryCallState, part: _Part, patience: Patience) -> float:
    growing = patience.first_pause * 2 ** max(0, part.in_vain - 1)
    asked = state.outcome.exception().pause if state.outcome else 0  # type: ignore[union-attr]
    return min(max(growing, asked), patience.longest_pause)


def _say_what_went_wrong(state: RetryCallState) -> None:
    if state.outcome and state.next_action:
        logger.warning("%s. Trying again in %.0f s.", state.outcome.exception(), state.next_action.sleep)


class _Part:
    """The part of a file that has come, and of which version of the file it is.

    in_vain: attempts in a row after which there was no more of the file than there had been before.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.download")
        self._about = target.with_name(f".{target.name}.download.json")
        self._most = self.size
        self.in_vain = 0

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> _Version:
        """Which version the part is of. A record that was cut off says nothing."""
        try:
            return _Version(**parse_json(self._about))
        except (FileNotFoundError, ValueError, TypeError):
            return _Version("", None, None, None)

    def begin(self, version: _Version) -> None:
        self.forget()
        write_json(self._about, asdict(version), guarded=False)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)

    def interrupted(self, reason: str, pause: float = 0) -> _Interrupted:
        """Note that an attempt has ended before the file did."""
        self.in_vain = 0 if self.size > self._most else self.in_vain + 1
        self._most = max(self._most, self.size)
        return _Interrupted(reason, pause)


def _continue(session: requests.Session, url: str, part: _Part, digest_is_known: bool, patience: Patience) -> None:
    """Go on with a download until the file is complete.

    Raises _Interrupted. A part is gone on with where the server shows that the file is still the same, or where a
    digest will.
    """
    version = part.version
    if part.size and part.size == version.total and version.url == url:
        return
    if version.url != url or not (version.validator or digest_is_known):
        part.forget()
    offset = part.size
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        headers |= {"If-Range": version.validator} if version.validator else {}
    try:
        with session.get(url, headers=headers, stream=True, timeout=(patience.connect, patience.read)) as response:
            _check_status(url, response, part)
            now = _Version.of(url, response)
            if response.status_code == 206 and not (
                response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
                and (digest_is_known or version.is_repeated_by(now))
            ):
                part.forget()
                raise part.interrupted(f"{url}: the file may have changed since it was begun, and is begun anew")
            _receive(url, response, part, now)
    except requests.RequestException as error:
        raise part.interrupted(f"{url}: {_reason(error)}") from error
    except ValueError as error:
        raise CheckpointError(f"{url}: the server leads to an address that is none ({error}).") from error


def _check_status(url: str, response: requests.Response, part: _Part) -> None:
    status = response.status_code
    if status == 416:
        part.forget()
        raise part.interrupted(f"{url}: what has come is longer than the file, and is dropped")
    if status in PASSING_STATUS:
        asked = response.headers.get("Retry-After", "")
        raise part.interrupted(f"{url}: {status} {response.reason}", float(asked) if asked.isdecimal() else 0)
    if status in (404, 410):
        raise NotThere(f"{url}: the server has no such file ({status} {response.reason}).")
    if status not in (200, 206):
        raise CheckpointError(
            f"{url}: the server answers {status} {response.reason}. Look at the address in a browser; "
            "a login or a proxy may be needed."
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _web_page(url)
    if url.startswith("https:") and response.url.startswith("http:"):
        logger.warning("%s leads to plain HTTP: %s", url, response.url)


def _web_page(url: str) -> CheckpointError:
    return CheckpointError(
        f"{url}: the server sends a web page instead of the file. Look at the address in a browser: a login or a proxy "
        "may be needed."
    )


def _receive(url: str, response: requests.Response, part: _Part, version: _Version) -> None:
    """Add what comes to the part; of a file that begins anew, only when it looks like one."""
    offset = part.size if response.status_code == 206 else 0
    if version.total is not None:
        require_space(part.path.parent, version.total - offset, f"the rest of {url}")
    chunks = response.iter_content(_CHUNK_BYTES)
    if response.status_code == 200:
        first = next(chunks, b"")
        if first.lstrip()[:1] == b"<":
            raise _web_page(url)
        if part.size:
            logger.warning(
                "%s: the server gives the file from its beginning: it has changed, or cannot be resumed", url
            )
            part.forget()
        chunks = chain([first], chunks)
    with explaining_a_full_disk(part.path.parent, f"{url} is not complete; what has come of it is kept"):
        if not offset:
            part.begin(version)
        with (
            part.path.open("ab") as file,
            Progress(total=version.total, initial=offset, desc=url.rsplit("/", 1)[1]) as progress,
        ):
            for chunk in chunks:
                file.write(chunk)
                progress.update(len(chunk))


def _reason(error: requests.RequestException) -> str:
    """Say what went wrong without the wrappings of three libraries."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the connection stalled"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return f"{type(error).__name__}: {error}"


def _verify(url: str, part: _Part, size: int | None, sha256: str | None) -> str:
    """Return the digest of what has come. Raises CheckpointError, and drops it, unless it is what was asked for."""
    expected = size if size is not None else part.version.total
    if expected is not None and part.size != expected:
        came = part.size
        part.forget()
        raise CheckpointError(f"{url}: {came} bytes have come, expected {expected}. Run again to fetch it anew.")
    found = sha256_of(part.path)
    if sha256 and found != sha256:
        part.forget()
        raise CheckpointError(
            f"{url}: its digest is {found}, expected {sha256}. The file was changed, or damaged on its way; nothing "
            f"was kept. If it was changed, and you trust it, delete {part.path.parent} and fetch again."
        )
    return found
