"""Which files of a folder hold the matrices of a dataset's sequences, where LucaOneApp or LucaOneTasks made them?

Nothing in such a folder says which network made it, nor from which sequence a matrix is: the number of rows and the
width are all that can be checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from os import scandir
from pathlib import Path
from stat import S_ISREG
from typing import Any

from lucaflow.config.step_settings import LARGEST_HASHED_FILE
from lucaflow.errors import InputError, quoted, shown
from lucaflow.files.checksums import sha256_of
from lucaflow.files.json_files import digest_of_settings
from lucaflow.records.outcomes import file_name_of
from lucaflow.records.table import accepted_records

_PREFIX = "matrix_"
_SUFFIXES = (".pt", ".npy")
_MOST_LISTED = 3


@dataclass(frozen=True)
class MatrixFiles:
    """The files of a dataset's distinct sequences in a folder.

    names: of the file of each sequence, by its digest; problems: why a sequence has none, by its digest.
    """

    folder: Path
    names: Mapping[str, str]
    problems: Mapping[str, str]

    def identity(self) -> dict[str, Any]:
        """Return what identifies the files: their SHA-256, or sizes and modification times if they are large together.

        A file that cannot be read raises nothing here: the job that reads it reports the error.
        """
        try:
            states = {name: (self.folder / name).stat() for name in sorted(self.names.values())}
            # Opening a named pipe would wait.
            if special := next((name for name, state in states.items() if not S_ISREG(state.st_mode)), None):
                return {"folder": str(self.folder), "unreadable": special}
            is_large = sum(state.st_size for state in states.values()) > LARGEST_HASHED_FILE
            content = {
                name: [state.st_size, state.st_mtime_ns] if is_large else sha256_of(self.folder / name)
                for name, state in states.items()
            }
        except OSError as error:
            return {"folder": str(self.folder), "unreadable": type(error).__name__}
        return {"folder": str(self.folder), "files": len(content), "content": digest_of_settings(content)}


def possible_names(identifier: str, description: str) -> list[str]:
    """Return the names that LucaOneApp and LucaOneTasks give to the file of a record, without `matrix_` and `.pt`.

    Their id is the whole header line; whoever gave them a table has the first word alone. Of an id with bars
    LucaOneTasks takes the second part.

    >>> possible_names("sp|P1|X_Y", "a protein")
    ['sp_P1_X_Yaprotein', 'P1', 'sp_P1_X_Y']
    """
    found = []
    for title in (f"{identifier} {description}".strip(), identifier):
        found.append(file_name_of(title, ""))
        if "|" in identifier:
            found.append(title.split("|")[1].strip())
    return list(dict.fromkeys(found))


def find_files(records: Path, folder: Path) -> MatrixFiles:
    """Return the files of the accepted records in a folder. records: records.tsv of the dataset.

    Records of one sequence share the first file there is. A file that may be of two sequences is of none, since
    LucaOneApp keeps the first alone; and of two files that may be of a record, none is taken.
    """
    state = records.stat()
    return _find_files(records, state.st_mtime_ns, state.st_size, folder)


@lru_cache(maxsize=100)
def _find_files(records: Path, _modified: int, _size: int, folder: Path) -> MatrixFiles:
    """Return the files, found once while records.tsv is the same and the process runs."""
    there = files_in(folder)
    found: dict[str, list[tuple[list[str], list[str]]]] = {}
    owners: dict[str, dict[str, str]] = {}
    for part in accepted_records(records, ["id", "description", "digest"]):
        for identifier, description, digest in zip(part["id"], part["description"], part["digest"], strict=True):
            possible = possible_names(identifier, description)
            names = [file for name in possible for suffix in _SUFFIXES if (file := f"{_PREFIX}{name}{suffix}") in there]
            found.setdefault(digest, []).append((possible, names))
            for name in names:
                owners.setdefault(name, {}).setdefault(digest, identifier)
    chosen: dict[str, str] = {}
    problems: dict[str, str] = {}
    for digest, of_records in found.items():
        reasons = [_why_none(folder, possible, names, owners) for possible, names in of_records]
        if "" in reasons:
            chosen[digest] = of_records[reasons.index("")][1][0]
        else:
            problems[digest] = reasons[0]
    return MatrixFiles(folder, chosen, problems)


def files_in(folder: Path) -> frozenset[str]:
    """Return the names of the matrices in a folder; none if there is no such folder."""
    try:
        with scandir(folder) as entries:
            names = frozenset(entry.name for entry in entries)
    except OSError:
        return frozenset()
    return frozenset(name for name in names if name.startswith(_PREFIX) and name.endswith(_SUFFIXES))


def _why_none(folder: Path, possible: list[str], names: list[str], owners: Mapping[str, Mapping[str, str]]) -> str:
    """Return why a record has no file; an empty text if it has one.

    possible: names of its file without prefix and suffix; names: of files that are there; owners: the ids that a file
    may be of, by name and digest.
    """
    if not names:
        expected = " or ".join(f"{shown(_PREFIX + name)}.pt" for name in possible)
        return f"there is no {expected} in {folder}"
    if len(names) > 1:
        return f"{shown(' and '.join(names))} in {folder} may both be its embedding; remove one"
    if len(owners[names[0]]) > 1:
        ids = list(dict.fromkeys(owners[names[0]].values()))
        both = " and ".join(map(quoted, ids[:2])) + ", whose sequences differ"
        of = both if ids[1:] else f"either of two sequences called {quoted(ids[0])}"
        return (
            f"{shown(names[0])} may be of {of}: LucaOneApp gives them one file, and keeps the first. Rename one of "
            "them and embed both again"
        )
    return ""


def require_folder(folder: Path) -> None:
    """Raise InputError if a folder cannot be listed."""
    try:
        with scandir(folder):
            return
    except FileNotFoundError:
        reason = "there is no such folder"
    except NotADirectoryError:
        reason = "is not a folder"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise InputError(f"heads.embeddings: {folder}: {reason}. Correct it in the configuration, or leave it out.")


def nothing_usable(folder: Path, reasons: Iterable[str]) -> InputError:
    """Return the error for a folder in which no sequence has a usable matrix. reasons: for each sequence."""
    reasons = list(reasons)
    listed = "".join(f"\n  {reason}" for reason in reasons[:_MOST_LISTED])
    listed += f"\n  and {len(reasons) - _MOST_LISTED:,} more" if len(reasons) > _MOST_LISTED else ""
    names = sorted(files_in(folder))
    held = f"It has {len(names):,} files of matrices" + (f", such as {shown(names[0])}." if names else ".")
    if not names and any(folder.glob("vector_*.pt")):
        held = "It has vectors; downstream models read matrices (LucaOneApp's `--embedding_type matrix`)."
    return InputError(f"heads.embeddings: {folder} has no usable matrix of any sequence. {held}{listed}")
