"""Compare the files of a fetched or converted checkpoint with their recorded SHA-256."""

from __future__ import annotations

from pathlib import Path

from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, MODEL_NAME, read_record
from lucaflow.checkpoints.fetched_record import FETCHED_RECORD, SUMS_NAME, read_sums, recorded_sums, write_sums
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of


def damage_of_weights(folder: Path, part: str) -> CheckpointError:
    """Return the error for converted weights, one part of which does not have its recorded SHA-256.

    The whole file is read again: either it is damaged, or the record is.
    """
    path, record = folder / MODEL_NAME, folder / CHECKPOINT_RECORD
    found, expected = sha256_of(path), read_record(folder)["model"]["sha256"]
    if found == expected:
        return CheckpointError(
            f"{record} is damaged: its SHA-256 of {part} is not that of {path.name}, but the SHA-256 of the whole file "
            "is as recorded. Delete the record and run `snakemake fetch`, which converts the checkpoint anew."
        )
    return CheckpointError(
        f"{path} is damaged: its SHA-256 is {found}, expected {expected}. Delete it, or run "
        "`snakemake verify`, which removes it; `snakemake fetch` then converts it anew."
    )


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
