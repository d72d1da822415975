"""Fetch the published files of a checkpoint once, and verify them every time.

Where no checksum is published, the one of the first download is used.
"""

from __future__ import annotations

import datetime
import errno
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from safetensors import SafetensorError, safe_open

from lucaflow import __version__
from lucaflow.checkpoints import hub
from lucaflow.checkpoints.checksums import damaged_files
from lucaflow.checkpoints.download import (
    DEFAULT_RETRIES,
    NotOnServer,
    RetryPolicy,
    discard_download,
    download,
    finish_download,
    partial_file_of,
)
from lucaflow.checkpoints.fetched_record import FETCHED_RECORD, LOCK_NAME, SUMS_NAME, read_sums, write_sums
from lucaflow.checkpoints.registry import Place, PublishedFile
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of, size_and_sha256
from lucaflow.files.json_files import parse_json
from lucaflow.files.locks import locked
from lucaflow.files.space import explaining_a_full_disk, human_bytes, require_space
from lucaflow.files.writing import write_json

logger = logging.getLogger(__name__)

# First bytes of a state dict written by torch.
_ZIP_BEGINNING, _PICKLE_BEGINNING = b"PK\x03\x04", b"\x80"


def fetch(
    places: Sequence[Place],
    folder: Path,
    server: str | None = None,
    revision: str | None = None,
    retries: RetryPolicy = DEFAULT_RETRIES,
) -> None:
    """Fetch all files of a checkpoint into `folder`, with SHA256SUMS and fetched.json. Verify existing files.

    places: tried in this order, the next one only if a file is missing on the server; server: a mirror that replaces
    the address in the table of checkpoints; revision: of the repository on the Hub. Raises CheckpointError or
    SpaceError.
    """
    name = places[0].name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            explaining_a_full_disk(folder, f"{name} is incomplete; the part already downloaded is kept"),
            locked(folder / LOCK_NAME, f"fetching {name}"),
        ):
            if not damaged_files(folder) and (folder / FETCHED_RECORD).is_file():
                logger.info("%s: all files are complete and unchanged", name)
                return
            if places[0].licence:
                logger.info("%s: its licence is: %s", name, places[0].licence)
            if places[0].source == "huggingface":
                _fetch_from_hub(places[0], revision, folder, retries)
            else:
                _fetch_from_servers([_moved(place, server) for place in places], folder, retries)
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _unusable(name, folder, error) from error
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise _unusable(name, folder, error) from error


def _unusable(name: str, folder: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"{name} cannot be fetched: {folder.resolve()} cannot be written ({error.strerror}). Ask someone with write "
        "permission to fetch it, or set checkpoints.directory to a directory of yours."
    )


def _moved(place: Place, server: str | None) -> Place:
    """Return a place on a mirror, whose address replaces the server's host and the first folder of the path."""
    if server is None:
        return place
    path = urlsplit(place.url).path.split("/", 2)[2]
    return replace(place, url=f"{server.rstrip('/')}/{path}")


def _fetch_from_servers(places: Sequence[Place], folder: Path, retries: RetryPolicy) -> None:
    """Fetch all files from one place. Try the next place only if the server has no such file."""
    for place in places:
        if not place.url.startswith("https:"):
            logger.warning(
                "%s is fetched over plain HTTP, so its content can be changed on the way: %s", place.name, place.url
            )
        before = read_sums(folder)
        try:
            for file in place.files:
                _fetch_from_server(place, file, folder, retries)
        except NotOnServer as error:
            for name in set(read_sums(folder)) - set(before):
                (folder / name).unlink(missing_ok=True)
            write_sums(folder, before)
            if place is places[-1]:
                raise
            logger.warning("%s Trying the next place.", error)
        else:
            _record(place, folder, place.url, None, [file.name for file in place.files])
            return


def _fetch_from_server(place: Place, file: PublishedFile, folder: Path, retries: RetryPolicy) -> None:
    """Fetch one file unless it is complete, and write its SHA-256 to SHA256SUMS.

    The expected SHA-256 is the published one, or else the recorded one; a first download may have neither.
    """
    target, sums = folder / file.name, read_sums(folder)
    expected = file.sha256 or sums.get(file.name)
    if target.is_file() and expected and sha256_of(target) == expected:
        logger.info("%s is complete and unchanged", target)
        return
    if target.is_file():
        doubt = "has changed" if expected else f"has no checksum in {SUMS_NAME}"
        logger.warning("%s %s and is fetched again", target, doubt)
    url = f"{place.url}/{file.name}"
    logger.info("fetching %s", url)
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = download(url, target, file.bytes, expected, retries, _if_changed(file, folder))
    try:
        check_content(partial_file_of(target), url)
    except CheckpointError:
        discard_download(target)
        raise
    # The checksum is written first, so that a run killed in between leaves a complete file with a checksum.
    write_sums(folder, {**sums, file.name: digest})
    finish_download(target)
    if not expected:
        logger.warning(
            "No checksum is published for %s. Its SHA-256 %s is recorded in %s and checked at every later use. "
            "Compare it with a colleague's.", file.name, digest, folder / SUMS_NAME,
        )  # fmt: skip


def _if_changed(file: PublishedFile, folder: Path) -> str:
    """Return what to do if a file on a server has another SHA-256 than the expected one, for a message."""
    if file.sha256:
        return "The expected one came with LucaFlow: set checkpoints.server to another mirror, or update LucaFlow."
    return f"If it has changed and you trust it, delete {folder}, whose {SUMS_NAME} has the old one, and fetch again."


def _fetch_from_hub(place: Place, revision: str | None, folder: Path, retries: RetryPolicy) -> None:
    repository = hub.look_up(place, revision, retries)
    logger.info("fetching %s at commit %s", repository.address, repository.commit)
    for name in damaged_files(folder):
        (folder / name).unlink(missing_ok=True)
    absent = [file for file in repository.files if not (folder / file.name).is_file()]
    require_space(folder, sum(file.bytes for file in absent), repository.address)
    for file in repository.files:
        sums = read_sums(folder)
        digest = hub.fetch_file(repository, file, folder, retries)
        if sums.get(file.name, digest) != digest:
            (folder / file.name).unlink()
            raise CheckpointError(
                f"{repository.address}: {file.name} has SHA-256 {digest}, but {folder / SUMS_NAME} expects "
                f"{sums[file.name]}: the repository has changed since. Set checkpoints.revision to the commit you "
                f"want; or, if you trust the new one, delete {folder} and fetch again."
            )
        check_content(folder / file.name, f"{repository.address}: {file.name}")
        logger.info("%s: %s, its checksum is the published one", file.name, human_bytes(file.bytes))
        write_sums(folder, {**sums, file.name: digest})
    _record(place, folder, repository.address, repository.commit, [file.name for file in repository.files])


def check_content(path: Path, origin: str) -> None:
    """Raise CheckpointError if the content does not fit the file name, such as half of an archive.

    path: the file, or its partial download (`.<name>.download`). origin: its address, for the message.
    """
    name = path.name.removeprefix(".").removesuffix(".download")
    with path.open("rb") as file:
        beginning = file.read(64)
    try:
        if name.endswith((".pth", ".bin")) and not beginning.startswith((_ZIP_BEGINNING, _PICKLE_BEGINNING)):
            raise ValueError(f"it begins with {beginning[:8]!r}, unlike any file written by torch")
        if name.endswith((".pth", ".bin")) and beginning.startswith(_ZIP_BEGINNING) and not zipfile.is_zipfile(path):
            raise ValueError("the end of the archive is missing")
        if name.endswith(".json"):
            parse_json(path)
        elif name.endswith(".safetensors"):
            with safe_open(path, framework="numpy"):
                pass
    except (ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{origin} is not a valid {Path(name).suffix} file ({error}). Open the address in a browser and look."
        ) from error


def _record(place: Place, folder: Path, address: str, commit: str | None, names: Sequence[str]) -> None:
    """Write fetched.json, which says that all files are complete and where they are from."""
    record: dict[str, Any] = {
        "format": "lucaflow-fetched",
        "name": place.name,
        "source": place.source,
        "address": address,
        "commit": commit,
        "licence": place.licence,
        "files": {name: size_and_sha256(folder / name) for name in names},
        "lucaflow_version": __version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / FETCHED_RECORD, record)
    logger.info("%s is complete in %s", place.name, folder)
