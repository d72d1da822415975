"""Fetch a checkpoint from the Hugging Face Hub, and check it against the checksums that the Hub publishes."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.sha import git_hash
from tenacity import Retrying, before_sleep_log, retry_if_exception, stop_after_attempt, wait_exponential

from lucaflow.checkpoints.download import LONGEST_WEIGHTS, TEMPORARY_STATUSES, RetryPolicy
from lucaflow.checkpoints.registry import Place
from lucaflow.errors import CheckpointError, quoted
from lucaflow.files.checksums import sha256_of
from lucaflow.files.places import inside
from lucaflow.progress import Progress

logger = logging.getLogger(__name__)
# A log line for each request does not help a user.
logging.getLogger(httpx2.__name__).setLevel(logging.WARNING)

# Names of files that a message lists.
_SHOWN = 20
# Bytes of a file's name, on all common file systems.
_LONGEST_NAME = 255 - len(".metadata")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository. The Hub publishes `sha256` for large files, and git's checksum `blob` for small ones."""

    name: str
    bytes: int
    sha256: str | None
    blob: str

    def check(self, path: Path) -> str:
        """Return the hex SHA-256 of a downloaded file. Raises CheckpointError if it has not the published checksum."""
        found = sha256_of(path)
        if self.sha256 and found == self.sha256:
            return found
        if not self.sha256 and git_hash(path.read_bytes()) == self.blob:
            return found
        path.unlink()
        raise CheckpointError(
            f"{self.name}: its SHA-256 is {found}, but the Hub publishes {self.sha256 or f'git blob {self.blob}'}. "
            "It was damaged during the download and is removed; run again to fetch it again."
        )


@dataclass(frozen=True)
class Repository:
    """A repository on the Hub at one commit, with the files that a checkpoint needs."""

    name: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def address(self) -> str:
        return f"{constants.ENDPOINT}/{self.name}"


def _retrying(retries: RetryPolicy) -> Retrying:
    """Return a caller that retries after temporary failures; huggingface_hub itself retries only after some of them."""
    return Retrying(
        retry=retry_if_exception(_is_temporary),
        stop=stop_after_attempt(retries.attempts),
        wait=wait_exponential(retries.first_pause, max=retries.longest_pause),
        before_sleep=before_sleep_log(logger, logging.WARNING),
        reraise=True,
    )


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in TEMPORARY_STATUSES
    return isinstance(error, httpx2.TransportError)


def look_up(place: Place, revision: str | None, retries: RetryPolicy) -> Repository:
    """Ask the Hub for a repository's files. Raises CheckpointError that says why it is not available."""
    try:
        info = _retrying(retries)(HfApi().model_info, place.url, revision=revision, files_metadata=True)
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError, ValueError) as error:
        raise _lookup_error(place, revision, error) from error
    listed = {
        file.rfilename: HubFile(
            file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id or ""
        )
        for file in info.siblings or ()
    }
    names = needed_files(listed, [file.name for file in place.files])
    if not names or not info.sha:
        found = ", ".join(name if name.isprintable() else quoted(name) for name in sorted(listed)[:_SHOWN])
        more = f", and {len(listed) - _SHOWN} more files" if len(listed) > _SHOWN else ""
        raise CheckpointError(
            f"{constants.ENDPOINT}/{place.url} holds no weights of {place.name}. It holds: {found or 'nothing'}{more}."
        )
    _refuse_names(names, f"{constants.ENDPOINT}/{place.url}")
    return Repository(place.url, info.sha, tuple(listed[name] for name in names))


def _refuse_names(names: Iterable[str], address: str) -> None:
    """Raise CheckpointError if a name in the list of a repository cannot be the name of a file in a folder."""
    for name in names:
        try:
            inside(Path(), name, links=False)
            if len(name.encode()) > _LONGEST_NAME:
                raise ValueError(f"{quoted(name)} is longer than the {_LONGEST_NAME} bytes of a file's name")
        except ValueError as error:
            raise CheckpointError(
                f"{address} cannot be fetched: {error}. Report it to the owner of the repository, or set "
                "checkpoints.revision to an older commit."
            ) from error


def needed_files(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the files that a checkpoint needs: safetensors files if there are any, otherwise pickles.

    And what `patterns` name of config.json and tokenizer.json.
    """
    names = sorted(name for name in names if "/" not in name)
    matching = [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    weights = [name for name in matching if ".safetensors" in name] or [name for name in matching if ".bin" in name]
    beside = ("config.json", "tokenizer.json")
    return [name for name in matching if name in weights or name.endswith(beside)] if weights else []


def _progress_up_to(file: HubFile) -> type[Progress]:
    """Return the class that shows a download, and ends one that is longer than the Hub says.

    huggingface_hub compares the sizes only at the end, and an answer in pieces may have none.
    """

    class Bounded(Progress):
        def update(self, n: float | None = 1) -> bool | None:
            if self.n + (n or 0) > (file.bytes or LONGEST_WEIGHTS):
                raise CheckpointError(
                    f"{file.name}: the server sends more than the {file.bytes or LONGEST_WEIGHTS} bytes that it can "
                    "have, by the list of the repository. Run again to fetch it again."
                )
            return super().update(n)

    return Bounded


def fetch_file(repository: Repository, file: HubFile, folder: Path, retries: RetryPolicy) -> str:
    """Download a file of a repository into `folder`; return its hex SHA-256, checked against the published one."""
    try:
        path = _retrying(retries)(
            hf_hub_download,
            repository.name,
            file.name,
            revision=repository.commit,
            local_dir=folder,
            tqdm_class=_progress_up_to(file),
        )
    except (HfHubHTTPError, EntryNotFoundError, OfflineModeIsEnabled, httpx2.HTTPError, OSError) as error:
        # Errors of the disk have an errno, and the caller, which knows the folder, explains them. Those of the library
        # have none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise CheckpointError(
            f"{repository.address}: {file.name} cannot be fetched now ({error}). Run again."
        ) from error
    return file.check(Path(path))


def _lookup_error(place: Place, revision: str | None, error: Exception) -> CheckpointError:
    """Return an error that says why the repository cannot be used, and what to do."""
    where = f"{constants.ENDPOINT}/{place.url}"
    if isinstance(error, OfflineModeIsEnabled):
        return CheckpointError(
            f"{place.name} has not been fetched yet, and HF_HUB_OFFLINE forbids fetching it from {where}. Run "
            "`snakemake fetch` with a network connection, or unset HF_HUB_OFFLINE."
        )
    if isinstance(error, GatedRepoError):
        return CheckpointError(f"{where}: access must be granted first. Request it there, and set HF_TOKEN.")
    if isinstance(error, RevisionNotFoundError | HFValidationError):
        return CheckpointError(f"{where} has no revision {revision!r}. Correct checkpoints.revision. ({error})")
    if isinstance(error, RepositoryNotFoundError):
        return CheckpointError(
            f"{where}: there is no such repository, or it needs a token. Check the name, or set HF_TOKEN."
        )
    return CheckpointError(
        f"{where} cannot be reached ({error}). Run again later, set HF_ENDPOINT to a mirror, or set "
        "checkpoints.source to `server`."
    )
