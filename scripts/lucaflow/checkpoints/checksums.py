"""Compare the files of a fetched or converted checkpoint with their recorded SHA-256."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, MODEL_NAME, read_record
from lucaflow.checkpoints.fetched_record import FETCHED_RECORD, SUMS_NAME, read_sums, recorded_sums, write_sums
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import difference, sha256_of


def check_weights(folder: Path) -> None:
    """Raise CheckpointError if the converted weights in a folder do not have the SHA-256 of their record."""
    path = folder / MODEL_NAME
    expected = read_record(folder)["model"]["sha256"]
    state = path.stat()
    if (found := _cached_sha256(path, state.st_size, state.st_mtime_ns)) != expected:
        raise CheckpointError(
            f"{path} is damaged: its SHA-256 is {found}, expected {expected}. Delete it, or run "
            "`snakemake verify`, which removes it; `snakemake fetch` then converts it anew."
        )


@cache
def _cached_sha256(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001
    """Return the SHA-256 of a file, and read it again only if its size or modification time has changed."""
    return sha256_of(path)


def damaged_files(folder: Path) -> dict[str, str]:
    """Compare a folder's files with SHA256SUMS and fetched.json; return the problem of each damaged file, by name."""
    found = {}
    for name, digest in {**recorded_sums(folder), **read_sums(folder)}.items():
        path = folder / name
        if not path.is_file():
            found[name] = "missing"
        elif (actual := sha256_of(path)) != digest:
            found[name] = f"its SHA-256 is {actual}, expected {digest}"
    return found


def remove_damaged(folder: Path) -> None:
    """Remove damaged files, so that the next run fetches them again, and raise CheckpointError that names them."""
    problems = damaged_files(folder)
    if not problems:
        return
    # Some checksums may be in fetched.json only, which is removed below.
    write_sums(folder, {**recorded_sums(folder), **read_sums(folder)})
    for name in problems:
        (folder / name).unlink(missing_ok=True)
    (folder / FETCHED_RECORD).unlink(missing_ok=True)
    lines = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    raise CheckpointError(
        f"{folder}: {lines}. The damaged files were removed. Run again with a network connection to fetch them again; "
        f"their SHA-256 must then be the one in {SUMS_NAME}."
    )


def changed_checkpoint(folder: Path) -> list[tuple[Path, str]]:
    """Compare a converted checkpoint with its record; return its files if they differ, and how they differ."""
    model, record = folder / MODEL_NAME, folder / CHECKPOINT_RECORD
    try:
        stated = read_record(folder)["model"]
    except CheckpointError as error:
        return [(record, str(error)), (model, "its record is damaged")]
    how = difference(model, stated["bytes"], stated["sha256"])
    return [(model, how), (record, "it records a file that has changed")] if how else []
