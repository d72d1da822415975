"""Fetching a checkpoint from the Hugging Face Hub, with the digests that the Hub publishes."""

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

from lucaflow.checkpoints.registry import Place
from lucaflow.checkpoints.server import PASSING_STATUS, Patience
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of
from lucaflow.logs import Progress

logger = logging.getLogger(__name__)
# A line for each request says nothing to a user.
logging.getLogger(httpx2.__name__).setLevel(logging.WARNING)


@dataclass(frozen=True)
class HubFile:
    """A file of a repository. sha256 is of large files; small ones are known by git's own digest, `blob`."""

    name: str
    bytes: int
    sha256: str | None
    blob: str

    def check(self, path: Path) -> str:
        """Return the hex SHA-256 of a downloaded file. Raises CheckpointError if it is not what the Hub publishes."""
        found = sha256_of(path)
        if self.sha256 and found == self.sha256:
            return found
        if not self.sha256 and git_hash(path.read_bytes()) == self.blob:
            return found
        path.unlink()
        raise CheckpointError(
            f"{self.name}: its digest is {found}, the Hub publishes {self.sha256 or f'git blob {self.blob}'}. "
            "It was damaged on its way and is removed; run again to fetch it anew."
        )


@dataclass(frozen=True)
class Repository:
    """A repository on the Hub at one commit, and those of its files that are wanted."""

    name: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def address(self) -> str:
        return f"{constants.ENDPOINT}/{self.name}"


def _attempts(patience: Patience) -> Retrying:
    """Return what asks again after failures that may pass; the library does so for some of them alone."""
    return Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(patience.attempts),
        wait=wait_exponential(patience.first_pause, max=patience.longest_pause),
        before_sleep=before_sleep_log(logger, logging.WARNING),
        reraise=True,
    )


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in PASSING_STATUS
    return isinstance(error, httpx2.TransportError)


def look_up(place: Place, revision: str | None, patience: Patience) -> Repository:
    """Ask the Hub for a repository's files. Raises CheckpointError that says why it cannot be had."""
    try:
        info = _attempts(patience)(HfApi().model_info, place.url, revision=revision, files_metadata=True)
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError, ValueError) as error:
        raise _explained(place, revision, error) from error
    listed = {
        file.rfilename: HubFile(
            file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id or ""
        )
        for file in info.siblings or ()
    }
    names = wanted(listed, [file.name for file in place.files])
    if not names or not info.sha:
        raise CheckpointError(
            f"{constants.ENDPOINT}/{place.url} holds no weights of LucaOne. "
            f"It holds: {', '.join(sorted(listed)) or 'nothing'}."
        )
    return Repository(place.url, info.sha, tuple(listed[name] for name in names))


def wanted(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the names that a checkpoint needs: safetensors where there are any, not both them and pickles."""
    names = sorted(name for name in names if "/" not in name)
    matching = [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    weights = [name for name in matching if ".safetensors" in name] or [name for name in matching if ".bin" in name]
    return [name for name in matching if name in weights or name.endswith("config.json")] if weights else []


def fetch_file(repository: Repository, file: HubFile, folder: Path, patience: Patience) -> str:
    """Download a file of a repository into `folder`; return its hex SHA-256, which is the published one."""
    try:
        path = _attempts(patience)(
            hf_hub_download,
            repository.name,
            file.name,
            revision=repository.commit,
            local_dir=folder,
            tqdm_class=Progress,
        )
    except (HfHubHTTPError, EntryNotFoundError, OfflineModeIsEnabled, httpx2.HTTPError, OSError) as error:
        # What the disk says is for whoever knows the folder; what the library says of a file has no number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise CheckpointError(
            f"{repository.address}: {file.name} cannot be fetched now ({error}). Run again."
        ) from error
    return file.check(Path(path))


def _explained(place: Place, revision: str | None, error: Exception) -> CheckpointError:
    """Say what stands in the way, and what to do about it."""
    where = f"{constants.ENDPOINT}/{place.url}"
    if isinstance(error, OfflineModeIsEnabled):
        return CheckpointError(
            f"{place.name} is not here yet, and HF_HUB_OFFLINE forbids to fetch it from {where}. Run `snakemake fetch` "
            "where there is a connection, or unset HF_HUB_OFFLINE."
        )
    if isinstance(error, GatedRepoError):
        return CheckpointError(f"{where}: access has to be granted first. Ask for it there, and set HF_TOKEN.")
    if isinstance(error, RevisionNotFoundError | HFValidationError):
        return CheckpointError(f"{where} has no revision {revision!r}. Correct checkpoints.revision. ({error})")
    if isinstance(error, RepositoryNotFoundError):
        return CheckpointError(f"{where}: there is no such repository, or it needs a token (HF_TOKEN).")
    return CheckpointError(
        f"{where} cannot be reached ({error}). Run again later, set HF_ENDPOINT to a mirror, or set "
        "checkpoints.source to `server`."
    )
