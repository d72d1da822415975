"""Having the published files of a checkpoint: fetched once, verified always.

A digest that nobody has published is the one of the first download.
"""

from __future__ import annotations

import datetime
import errno
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from safetensors import SafetensorError, safe_open

from lucaflow import __version__, hub
from lucaflow.downloads import PATIENCE, NotThere, Patience, download
from lucaflow.errors import CheckpointError
from lucaflow.files import describe, human_bytes, locked, require_space, sha256_of, write_text
from lucaflow.published import RECORD_NAME, SUMS_NAME, damaged, read_sums, write_sums
from lucaflow.registry import Place, PublishedFile

logger = logging.getLogger(__name__)

# How a state dict begins that torch has written: a zip archive, or a pickle.
_TORCH_BEGINNINGS = (b"PK\x03\x04", b"\x80")


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
        with locked(folder / ".lock", f"fetching {name}"):
            if not damaged(folder) and (folder / RECORD_NAME).is_file():
                logger.info("%s: all files are there and are what they were", name)
            elif places[0].source == "huggingface":
                _fetch_from_hub(places[0], revision, folder)
            else:
                _fetch_from_servers([_moved(place, server) for place in places], folder, patience)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise CheckpointError(
            f"{name} is to be fetched into {folder.resolve()}, which cannot be written ({error.strerror}). Let someone "
            "fetch who may write there, or set checkpoints.directory to a directory of yours."
        ) from error


def _moved(place: Place, server: str | None) -> Place:
    """Return a place as it is on a mirror, whose address stands for the server's own host and its first folder."""
    if server is None:
        return place
    path = urlsplit(place.url).path.split("/", 2)[2]
    return Place(place.name, place.source, f"{server.rstrip('/')}/{path}", place.files, place.licence, place.note)


def _fetch_from_servers(places: Sequence[Place], folder: Path, patience: Patience) -> None:
    """Ask one place after the other; only a file that is not there leads to the next."""
    for place in places:
        if not place.url.startswith("https:"):
            logger.warning("%s comes over plain HTTP, which anyone on the way can change: %s", place.name, place.url)
        try:
            for file in place.files:
                _fetch_from_server(place, file, folder, patience)
        except NotThere as error:
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
    else:
        if target.is_file() and expected:
            logger.warning("%s is not what it was and is fetched again", target)
        elif target.is_file():
            logger.warning("%s has no digest in %s and is fetched again", target, SUMS_NAME)
        url = f"{place.url}/{file.name}"
        logger.info("fetching %s", url)
        download(url, target, file.bytes, expected, check_content, patience)
    digest = expected or sha256_of(target)
    if not expected:
        logger.warning(
            "Nobody has published a digest of %s. It is recorded as %s in %s, and every later use checks it. "
            "Compare it with a colleague's.", file.name, digest, folder / SUMS_NAME,
        )  # fmt: skip
    write_sums(folder, {**sums, file.name: digest})


def _fetch_from_hub(place: Place, revision: str | None, folder: Path) -> None:
    repository = hub.look_up(place, revision)
    logger.info("fetching %s at commit %s", repository.address, repository.commit)
    for name in damaged(folder):
        (folder / name).unlink(missing_ok=True)
    absent = [file for file in repository.files if not (folder / file.name).is_file()]
    require_space(folder, sum(file.bytes for file in absent), repository.address)
    for file in repository.files:
        sums = read_sums(folder)
        digest = hub.fetch_file(repository, file, folder)
        if sums.get(file.name, digest) != digest:
            (folder / file.name).unlink()
            raise CheckpointError(
                f"{repository.address}: {file.name} has digest {digest}, but {folder / SUMS_NAME} says "
                f"{sums[file.name]}: the repository has changed since. Set checkpoints.revision to the commit you want."
            )
        check_content(folder / file.name)
        logger.info("%s: %s, its digest is the published one", file.name, human_bytes(file.bytes))
        write_sums(folder, {**sums, file.name: digest})
    _record(place, folder, repository.address, repository.commit, [file.name for file in repository.files])


def check_content(path: Path) -> None:
    """Raise CheckpointError for content that cannot be what a file's name says, such as a web page.

    The name is that of the file, or of the part of it that has come (`.<name>.download`).
    """
    name = path.name.removeprefix(".").removesuffix(".download")
    with path.open("rb") as file:
        beginning = file.read(64)
    if beginning.lstrip()[:1] == b"<":
        raise CheckpointError(
            f"{name} is a web page, not what was asked for; nothing was kept. Look at its address in a browser: a "
            "login or a proxy may be needed."
        )
    if name.endswith((".pth", ".bin")) and not beginning.startswith(_TORCH_BEGINNINGS):
        raise CheckpointError(f"{name} begins with {beginning[:8]!r}: torch writes no such file. Nothing was kept.")
    try:
        if name.endswith(".json"):
            json.loads(path.read_text(encoding="utf-8"))
        elif name.endswith(".safetensors"):
            with safe_open(path, framework="numpy"):
                pass
    except (ValueError, SafetensorError) as error:
        raise CheckpointError(f"{name} is not what its name says ({error}). Nothing was kept.") from error


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
    write_text(folder / RECORD_NAME, json.dumps(record, indent=2) + "\n")
    logger.info("%s is complete in %s", place.name, folder)
