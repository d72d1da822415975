"""Where a checkpoint's files, fetched or converted, are compared with their recorded SHA-256."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lucaflow.checkpoints.converted import CHECKPOINT_RECORD, MODEL_NAME, read_record
from lucaflow.checkpoints.fetched import FETCHED_RECORD, SUMS_NAME, read_sums, recorded_sums, write_sums
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import difference, sha256_of


def check_digest(folder: Path) -> None:
    """Raise CheckpointError if the converted weights in a folder do not have the SHA-256 of their record."""
    path = folder / MODEL_NAME
    expected = read_record(folder)["model"]["sha256"]
    state = path.stat()
    if (digest := _digest_once(path, state.st_size, state.st_mtime_ns)) != expected:
        raise CheckpointError(
            f"{path} is damaged: its digest is {digest}, expected {expected}. Run `snakemake verify`, "
            "which removes what is damaged, and then `snakemake fetch`."
        )


@cache
def _digest_once(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001
    """Return the digest of a file, which is read once as long as its size and time of change stay the same."""
    return sha256_of(path)


def damaged(folder: Path) -> dict[str, str]:
    """Compare a folder's files with SHA256SUMS and fetched.json; return what is wrong, by name."""
    found = {}
    for name, digest in {**recorded_sums(folder), **read_sums(folder)}.items():
        path = folder / name
        if not path.is_file():
            found[name] = "missing"
        elif (actual := sha256_of(path)) != digest:
            found[name] = f"its digest is {actual}, expected {digest}"
    return found


def discard_damaged(folder: Path) -> None:
    """Raise CheckpointError that names damaged files, after removing them, so that the next run fetches them again."""
    problems = damaged(folder)
    if not problems:
        return
    # What the record alone still knows of must not be forgotten with it.
    write_sums(folder, {**recorded_sums(folder), **read_sums(folder)})
    for name in problems:
        (folder / name).unlink(missing_ok=True)
    (folder / FETCHED_RECORD).unlink(missing_ok=True)
    lines = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    raise CheckpointError(
        f"{folder}: {lines}. What was damaged is removed. Run again where there is a connection, to fetch it anew; it "
        f"must then be what {SUMS_NAME} says."
    )


def changed_checkpoint(folder: Path) -> list[tuple[Path, str]]:
    """Compare a converted checkpoint with its record; return its files if they differ, and how."""
    model, record = folder / MODEL_NAME, folder / CHECKPOINT_RECORD
    try:
        stated = read_record(folder)["model"]
    except CheckpointError as error:
        return [(record, str(error)), (model, "its record is damaged")]
    how = difference(model, stated["bytes"], stated["sha256"])
    return [(model, how), (record, "speaks of a file that changed")] if how else []
