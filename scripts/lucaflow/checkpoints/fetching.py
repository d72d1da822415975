"""Having the published files of a checkpoint: fetched once, verified always.

A digest that nobody has published is the one of the first download.
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
from lucaflow.checkpoints.checksums import damaged
from lucaflow.checkpoints.fetched import FETCHED_RECORD, LOCK_NAME, SUMS_NAME, read_sums, write_sums
from lucaflow.checkpoints.registry import Place, PublishedFile
from lucaflow.checkpoints.server import PATIENCE, NotThere, Patience, discard, download, part_of, publish
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import describe, sha256_of
from lucaflow.files.json_files import parse_json
from lucaflow.files.locks import locked
from lucaflow.files.space import explaining_a_full_disk, human_bytes, require_space
from lucaflow.files.writing import write_json

logger = logging.getLogger(__name__)

# How a state dict begins that torch has written.
_ZIP_BEGINNING, _PICKLE_BEGINNING = b"PK\x03\x04", b"\x80"


def fetch(
    places: Sequence[Place],
    folder: Path,
    server: str | None = None,
    revision: str | None = None,
    patience: Patience = PATIENCE,
) -> None:
    """Have all files of a checkpoint in `folder`, with SHA256SUMS and fetched.json. What is there already is verified.

    places: asked in their order, the next where one has no such file; server: an address to ask instead of the one in
    the table of places; revision: of the repository on the Hub. Raises CheckpointError or SpaceError.
    """
    name = places[0].name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            explaining_a_full_disk(folder, f"{name} is not complete; what has come of it is kept"),
            locked(folder / LOCK_NAME, f"fetching {name}"),
        ):
            if not damaged(folder) and (folder / FETCHED_RECORD).is_file():
                logger.info("%s: all files are there and are what they were", name)
            elif places[0].source == "huggingface":
                _fetch_from_hub(places[0], revision, folder, patience)
            else:
                _fetch_from_servers([_moved(place, server) for place in places], folder, patience)
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _unusable(name, folder, error) from error
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise _unusable(name, folder, error) from error


def _unusable(name: str, folder: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"{name} is to be fetched into {folder.resolve()}, which cannot be written ({error.strerror}). Let someone "
        "fetch who may write there, or set checkpoints.directory to a directory of yours."
    )


def _moved(place: Place, server: str | None) -> Place:
    """Return a place as it is on a mirror, whose address stands for the server's own host and its first folder."""
    if server is None:
        return place
    path = urlsplit(place.url).path.split("/", 2)[2]
    return replace(place, url=f"{server.rstrip('/')}/{path}")


def _fetch_from_servers(places: Sequence[Place], folder: Path, patience: Patience) -> None:
    """Ask one place after the other; only a file that is not there leads to the next, and all come from one place."""
    for place in places:
        if not place.url.startswith("https:"):
            logger.warning("%s comes over plain HTTP, which anyone on the way can change: %s", place.name, place.url)
        before = read_sums(folder)
        try:
            for file in place.files:
                _fetch_from_server(place, file, folder, patience)
        except NotThere as error:
            for name in set(read_sums(folder)) - set(before):
                (folder / name).unlink(missing_ok=True)
            write_sums(folder, before)
            if place is places[-1]:
                raise
            logger.warning("%s Asking the next place.", error)
        else:
            _record(place, folder, place.url, None, [file.name for file in place.files])
            return


def _fetch_from_server(place: Place, file: PublishedFile, folder: Path, patience: Patience) -> None:
    """Have one file, with its digest in SHA256SUMS: as published, as recorded, or else as it comes the first time."""
    target, sums = folder / file.name, read_sums(folder)
    expected = file.sha256 or sums.get(file.name)
    if target.is_file() and expected and sha256_of(target) == expected:
        logger.info("%s is there and is what it was", target)
        return
    if target.is_file():
        doubt = "is not what it was" if expected else f"has no digest in {SUMS_NAME}"
        logger.warning("%s %s, and is fetched again", target, doubt)
    url = f"{place.url}/{file.name}"
    logger.info("fetching %s", url)
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = download(url, target, file.bytes, expected, patience)
    try:
        check_content(part_of(target), url)
    except CheckpointError:
        discard(target)
        raise
    # The digest first: a run that ends in between finds it, and the file complete.
    write_sums(folder, {**sums, file.name: digest})
    publish(target)
    if not expected:
        logger.warning(
            "Nobody has published a digest of %s. It is recorded as %s in %s, and every later use checks it. "
            "Compare it with a colleague's.", file.name, digest, folder / SUMS_NAME,
        )  # fmt: skip


def _fetch_from_hub(place: Place, revision: str | None, folder: Path, patience: Patience) -> None:
    repository = hub.look_up(place, revision, patience)
    logger.info("fetching %s at commit %s", repository.address, repository.commit)
    for name in damaged(folder):
        (folder / name).unlink(missing_ok=True)
    absent = [file for file in repository.files if not (folder / file.name).is_file()]
    require_space(folder, sum(file.bytes for file in absent), repository.address)
    for file in repository.files:
        sums = read_sums(folder)
        digest = hub.fetch_file(repository, file, folder, patience)
        if sums.get(file.name, digest) != digest:
            (folder / file.name).unlink()
            raise CheckpointError(
                f"{repository.address}: {file.name} has digest {digest}, but {folder / SUMS_NAME} says "
                f"{sums[file.name]}: the repository has changed since. Set checkpoints.revision to the commit you "
                f"want; or, if you trust the new one, delete {folder} and fetch again."
            )
        check_content(folder / file.name, f"{repository.address}: {file.name}")
        logger.info("%s: %s, its digest is the published one", file.name, human_bytes(file.bytes))
        write_sums(folder, {**sums, file.name: digest})
    _record(place, folder, repository.address, repository.commit, [file.name for file in repository.files])


def check_content(path: Path, origin: str) -> None:
    """Raise CheckpointError for content that cannot be what a file's name says, such as half of an archive.

    The name is that of the file, or of the part of it that has come (`.<name>.download`). origin: for the message.
    """
    name = path.name.removeprefix(".").removesuffix(".download")
    with path.open("rb") as file:
        beginning = file.read(64)
    try:
        if name.endswith((".pth", ".bin")) and not beginning.startswith((_ZIP_BEGINNING, _PICKLE_BEGINNING)):
            raise ValueError(f"it begins with {beginning[:8]!r}, as no file of torch does")
        if name.endswith((".pth", ".bin")) and beginning.startswith(_ZIP_BEGINNING) and not zipfile.is_zipfile(path):
            raise ValueError("the end of the archive is missing")
        if name.endswith(".json"):
            parse_json(path)
        elif name.endswith(".safetensors"):
            with safe_open(path, framework="numpy"):
                pass
    except (ValueError, SafetensorError) as error:
        raise CheckpointError(f"{origin} is not what its name says ({error}). Look at what lies there.") from error


def _record(place: Place, folder: Path, address: str, commit: str | None, names: Sequence[str]) -> None:
    """Write down that all is there, and where it came from."""
    record: dict[str, Any] = {
        "format": "lucaflow-fetched",
        "name": place.name,
        "source": place.source,
        "address": address,
        "commit": commit,
        "licence": place.licence,
        "files": {name: describe(folder / name) for name in names},
        "lucaflow_version": __version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / FETCHED_RECORD, record, guarded=False)
    logger.info("%s is complete in %s", place.name, folder)
