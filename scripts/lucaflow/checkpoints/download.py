"""Download a file over HTTP: keep the part already downloaded, resume from there, and keep nothing wrong."""

from __future__ import annotations

import logging
import re
import shutil
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from lucaflow.checkpoints import slow_connections
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of
from lucaflow.files.json_files import parse_json
from lucaflow.files.space import explaining_a_full_disk, human_bytes, require_space
from lucaflow.files.writing import synchronise, write_json
from lucaflow.progress import Progress

logger = logging.getLogger(__name__)

# An interruption loses at most this much.
_CHUNK_BYTES = 1 << 16
# The most bytes of a file whose size nobody knows before: of weights, the largest of which have 7 GB, and of others.
LONGEST_WEIGHTS, LONGEST_TEXT = 100_000_000_000, 500_000_000
_WEIGHTS = (".pth", ".pt", ".bin", ".safetensors")
# Of the room on the disk, the share that such a file may take.
_SHARE_OF_ROOM = 0.9
# HTTP status codes after which a later request may succeed.
TEMPORARY_STATUSES = (408, 425, 429, 500, 502, 503, 504)


class NotOnServer(CheckpointError):
    """The server has no such file."""


class _Interrupted(Exception):
    """A temporary failure of a download. pause: seconds for which the server asks to wait."""

    def __init__(self, reason: str, pause: float = 0) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server, in seconds.

    attempts: how many in a row may bring too little; least_bytes: too little is less than this, of an attempt, and of
    the data that arrive in the seconds of `read_timeout`.
    """

    connect_timeout: float = 20
    read_timeout: float = 60
    attempts: int = 8
    first_pause: float = 1
    longest_pause: float = 120
    least_bytes: int = 60_000


DEFAULT_RETRIES = RetryPolicy()


@dataclass(frozen=True)
class _Version:
    """Identifies one version of a file on a server. total: its size in bytes."""

    url: str
    total: int | None
    etag: str | None
    last_modified: str | None

    @classmethod
    def of(cls, url: str, response: requests.Response) -> _Version:
        """Read the version from a response that holds the whole file or a part of it."""
        headers = response.headers
        span = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", ""))
        total = span[1] if span else headers.get("Content-Length", "") if response.status_code == 200 else ""
        return cls(url, int(total) if total.isdecimal() else None, headers.get("ETag"), headers.get("Last-Modified"))

    @property
    def validator(self) -> str | None:
        """Return the value for the header If-Range: a strong ETag, or else a date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def is_same_as(self, other: _Version) -> bool:
        """Return whether another response proves that the file on the server is unchanged."""
        same_length = self.total is None or other.total == self.total
        return same_length and self.validator is not None and other.validator == self.validator


def download(
    url: str,
    target: Path,
    size: int | None = None,
    sha256: str | None = None,
    retries: RetryPolicy = DEFAULT_RETRIES,
    if_changed: str = "",
) -> str:
    """Download a file beside `target` and return its hex SHA-256; `finish_download` then gives it its name.

    An interrupted download is resumed. size, sha256: of the file, if known; if_changed: what to do if the file has
    another SHA-256, for the message. Raises CheckpointError for permanent failures, and after `retries.attempts`
    attempts in a row that bring too little; NotOnServer if there is no such file; SpaceError if the disk is full. The
    partial file is kept unless it is wrong.
    """
    part = _PartialFile(target, retries.least_bytes)
    attempts = Retrying(
        retry=retry_if_exception_type(_Interrupted),
        stop=lambda _: part.attempts_without_progress >= retries.attempts,
        wait=lambda state: _pause(state, part, retries),
        before_sleep=_log_retry,
        reraise=True,
    )
    with slow_connections.session(retries.read_timeout, retries.least_bytes) as session:
        try:
            attempts(_resume, session, url, part, size, sha256 is not None, retries)
        except _Interrupted as error:
            raise CheckpointError(
                f"{url}: {retries.attempts} attempts in a row brought no new data, or less than "
                f"{human_bytes(retries.least_bytes)}; the last error: {error}. "
                f"{human_bytes(part.size)} are kept. Run again to resume, or fetch on a machine with a network "
                "connection and copy checkpoints.directory."
            ) from error
    return _verify(url, part, size, sha256, if_changed)


def finish_download(target: Path) -> None:
    """Give a downloaded file its final name, and flush it to the disk."""
    part = _PartialFile(target)
    synchronise(part.path)
    part.path.replace(target)
    part.delete()
    synchronise(target.parent)


def discard_download(target: Path) -> None:
    """Remove the partial download of a file."""
    _PartialFile(target).delete()


def partial_file_of(target: Path) -> Path:
    """Return the path of a file during its download."""
    return _PartialFile(target).path


def _pause(state: RetryCallState, part: _PartialFile, retries: RetryPolicy) -> float:
    growing = retries.first_pause * 2 ** max(0, part.attempts_without_progress - 1)
    asked = state.outcome.exception().pause if state.outcome else 0  # type: ignore[union-attr]
    return min(max(growing, asked), retries.longest_pause)


def _log_retry(state: RetryCallState) -> None:
    if state.outcome and state.next_action:
        logger.warning("%s. Trying again in %.0f s.", state.outcome.exception(), state.next_action.sleep)


class _PartialFile:
    """The partial download of a file, with a record of the file's version on the server.

    attempts_without_progress: counts attempts in a row after which the part was not larger than ever before by
    `least_bytes`.
    """

    def __init__(self, target: Path, least_bytes: int = 1) -> None:
        self.path = target.with_name(f".{target.name}.download")
        self._about = target.with_name(f".{target.name}.download.json")
        self._most = self.size
        self._least_bytes = least_bytes
        self.attempts_without_progress = 0

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> _Version:
        """Return the version of the file on the server; an empty one if the record is missing or damaged."""
        try:
            return _Version(**parse_json(self._about))
        except (FileNotFoundError, ValueError, TypeError):
            return _Version("", None, None, None)

    def start(self, version: _Version) -> None:
        self.delete()
        write_json(self._about, asdict(version))

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)

    def interrupted(self, reason: str, pause: float = 0) -> _Interrupted:
        """Count an attempt that ended before the file was complete, and return its error."""
        self.attempts_without_progress += 1
        if self.size >= self._most + self._least_bytes:
            self.attempts_without_progress = 0
            self._most = self.size
        return _Interrupted(reason, pause)


def _resume(
    session: requests.Session,
    url: str,
    part: _PartialFile,
    size: int | None,
    sha256_is_known: bool,
    retries: RetryPolicy,
) -> None:
    """Download the rest of a file. Raises _Interrupted for a temporary failure.

    A partial file is resumed if the server proves that the file is unchanged, or if a known SHA-256 will prove it.
    Otherwise the download starts again.
    """
    version = part.version
    if part.size and part.size == version.total and version.url == url:
        return
    if version.url != url or not (version.validator or sha256_is_known):
        part.delete()
    offset = part.size
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        headers |= {"If-Range": version.validator} if version.validator else {}
    try:
        with session.get(
            url, headers=headers, stream=True, timeout=(retries.connect_timeout, retries.read_timeout)
        ) as response:
            _check_status(url, response, part)
            now = _Version.of(url, response)
            if response.status_code == 206 and not (
                response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
                and (sha256_is_known or version.is_same_as(now))
            ):
                part.delete()
                raise part.interrupted(f"{url}: the file may have changed during the download, which starts again")
            _receive(url, response, part, now, size)
    except requests.RequestException as error:
        raise part.interrupted(f"{url}: {_reason(error, retries)}") from error
    except ValueError as error:
        raise CheckpointError(
            f"{url}: the server redirects to an invalid address ({error}). Open the address in a browser and look."
        ) from error


def _check_status(url: str, response: requests.Response, part: _PartialFile) -> None:
    status = response.status_code
    if status == 416:
        part.delete()
        raise part.interrupted(f"{url}: the partial download is longer than the file and is removed")
    if status in TEMPORARY_STATUSES:
        asked = response.headers.get("Retry-After", "")
        raise part.interrupted(f"{url}: {status} {response.reason}", float(asked) if asked.isdecimal() else 0)
    if status in (404, 410):
        raise NotOnServer(f"{url}: the server has no such file ({status} {response.reason}).")
    if status not in (200, 206):
        raise CheckpointError(
            f"{url}: the server answers {status} {response.reason}. Open the address in a browser; "
            "a login or a proxy may be needed."
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _web_page(url)
    if url.startswith("https:") and response.url.startswith("http:"):
        logger.warning("%s redirects to plain HTTP: %s", url, response.url)


def _web_page(url: str) -> CheckpointError:
    return CheckpointError(
        f"{url}: the server sends a web page instead of the file. Open the address in a browser: a login or a proxy "
        "may be needed."
    )


def _receive(url: str, response: requests.Response, part: _PartialFile, version: _Version, size: int | None) -> None:
    """Append the response to the partial file. If the whole file is sent, first check that it is not a web page.

    size: the published size, if there is one. An answer may be longer, or have no end; then nothing is kept.
    """
    offset = part.size if response.status_code == 206 else 0
    known = size if size is not None else version.total
    if version.total is not None:
        require_space(part.path.parent, version.total - offset, f"the rest of {url}")
    most, why = (known, "it must have") if known is not None else _most_of_unknown(url, part, offset)
    chunks = response.iter_content(_CHUNK_BYTES)
    if response.status_code == 200:
        first = next(chunks, b"")
        if first.lstrip()[:1] == b"<":
            raise _web_page(url)
        if part.size:
            logger.warning(
                "%s: the download starts again, because the file has changed or the server cannot resume", url
            )
            part.delete()
        chunks = chain([first], chunks)
    with explaining_a_full_disk(part.path.parent, f"{url} is incomplete; the part already downloaded is kept"):
        if not offset:
            part.start(version)
        with (
            part.path.open("ab") as file,
            Progress(total=version.total, initial=offset, desc=url.rsplit("/", 1)[1]) as progress,
        ):
            for chunk in chunks:
                offset += len(chunk)
                if offset > most:
                    part.delete()
                    raise CheckpointError(
                        f"{url}: the server sends more than the {human_bytes(most)} ({most} bytes) that {why}. Nothing "
                        "was kept. Open the address in a browser and look, or set checkpoints.server to a mirror."
                    )
                file.write(chunk)
                progress.update(len(chunk))


def _most_of_unknown(url: str, part: _PartialFile, offset: int) -> tuple[int, str]:
    """Return the most bytes of a file whose size the server does not say, and the reason for the message."""
    longest = LONGEST_WEIGHTS if url.endswith(_WEIGHTS) else LONGEST_TEXT
    folder = part.path.parent
    room = offset + int(_SHARE_OF_ROOM * shutil.disk_usage(folder).free)
    if room < longest:
        return room, f"the disk of {folder.resolve()} can spare, and it does not say how long the file is"
    return longest, "such a file can have, and it does not say how long the file is"


def _reason(error: requests.RequestException, retries: RetryPolicy) -> str:
    """Return a short reason, without the texts of the three libraries that wrap the error."""
    if isinstance(error, requests.ConnectTimeout):
        return "the connection timed out"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        least = human_bytes(retries.least_bytes)
        return f"the connection stalled (in {retries.read_timeout:g} s came nothing, or less than {least})"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was lost"
    return f"{type(error).__name__}: {error}"


def _verify(url: str, part: _PartialFile, size: int | None, sha256: str | None, if_changed: str) -> str:
    """Return the SHA-256 of the download. If its size or SHA-256 is wrong, delete it and raise CheckpointError."""
    expected = size if size is not None else part.version.total
    if expected is not None and part.size != expected:
        received = part.size
        part.delete()
        raise CheckpointError(f"{url}: received {received} bytes, expected {expected}. Run again to fetch it again.")
    found = sha256_of(part.path)
    if sha256 and found != sha256:
        part.delete()
        raise CheckpointError(
            f"{url}: its SHA-256 is {found}, expected {sha256}. The file has changed, or was damaged on the way; "
            f"nothing was kept. {if_changed}".rstrip()
        )
    return found
