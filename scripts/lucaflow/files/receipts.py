"""On what does a result depend, and is it still what its step wrote?

The last act of each step is a receipt: the settings that the step depends on, the SHA-256 of each result of another
step that it read, and the size and SHA-256 of each file that it wrote. A result without a receipt, or with one for
other settings or for other results of the steps before it, is made again. A receipt is at
`<folder>/receipts/<step>.json`; the names of files in it are relative to `<folder>`. A step may read results of a
dataset beside its own, `../<dataset>/...`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from glob import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lucaflow.errors import StoreError, UnreadableError
from lucaflow.files.checksums import LIST_SUFFIX, damage_of_listed, difference, sha256_of, size_and_sha256
from lucaflow.files.json_files import as_json, digest_of_settings, parse_json
from lucaflow.files.places import inside
from lucaflow.files.writing import write_text

FOLDER = "receipts"
# Before the name of a result of another dataset.
_BESIDE = "../"

Entry = dict[str, Any]

# The files that steps write, by the first word of their names, as patterns of paths in the receipt's folder. {of}: the
# rest of the name. A receipt that names another file was not written by LucaFlow.
_FILES_OF_STEPS = {
    "convert": ("checkpoint.json", "model.safetensors", "language_model_head.safetensors"),
    "normalize": ("records.tsv", "metadata.problems.tsv", "sequences/*"),
    "assemble": ("{of}/embeddings.h5", "{of}/verified.json"),
    "search": ("{of}/nearest.h5",),
    "draw": ("{of}/figures/*", "{of}/neighbours.*", "{of}/transferred_labels.tsv", "{of}/groups.tsv"),
    "score": ("{of}/scores/*",),
    "precisions": ("{of}/figures/precisions.*",),
    "stitchings": ("{of}/figures/stitchings.*",),
    "export": ("*/export/*",),
    "plan": ("heads/plan.json", "heads/sequences"),
    "predict": ("predictions/{of}.*",),
    "divide": tuple(
        f"training/{{of}}/{name}" for name in ("splits.tsv", "leakage.tsv", "nearest.tsv", "division.json")
    ),
    "train": ("training/*",),
    "compare": ("training/{of}/comparison.*",),
    "overview": ("overview.*",),
    "summary": (
        "summary.*",
        "overview.html",
        "validation.html",
        "SHA256SUMS",
        "*/run.yaml",
        "*/run.html",
        "*/overview.*",
    ),
}


def receipt_path(folder: str | Path, step: str) -> Path:
    """Return the path of the receipt of a step.

    >>> receipt_path("results/proteins", "normalize").as_posix()
    'results/proteins/receipts/normalize.json'
    """
    return Path(folder) / FOLDER / f"{step}.json"


@contextmanager
def recording(
    receipt: str | Path, settings: Mapping[str, Any], outputs: Iterable[str | Path], reads: Iterable[str | Path] = ()
) -> Iterator[dict[Path, Entry]]:
    """Compare what the step reads with its receipts, and remove the receipt of an earlier run of the step.

    When the block succeeds, write the new one.

    settings: on which the step depends; outputs: the files and folders that the block writes, in the receipt's folder;
    the receipt itself may be among them; reads: the results of other steps that the block reads.
    Yields a table for the size and SHA-256 of outputs that the block has computed, so that they are not read again.
    Raises StoreError if a file in `reads` is not as its step wrote it.
    """
    path = Path(receipt)
    read = require_unchanged(map(Path, reads))
    # While the outputs are replaced one by one, they have no receipt.
    path.unlink(missing_ok=True)
    known: dict[Path, Entry] = {}
    yield known
    write_receipt(path, settings, [output for output in map(Path, outputs) if output != path], read, known)


@contextmanager
def recording_step(snakemake: Any, *reads: str, beside: Iterable[Path] = ()) -> Iterator[dict[Path, Entry]]:
    """As `recording`, for the step of a script. reads: the names of its inputs that are results of other steps.

    beside: files that the step writes besides the outputs of its rule.
    """
    inputs = [snakemake.input[name] for name in reads]
    files = [file for found in inputs for file in ([found] if isinstance(found, str) else found)]
    outputs = [*snakemake.output, *beside]
    with recording(snakemake.output.receipt, snakemake.params.settings, outputs, files) as known:
        yield known


def write_receipt(
    receipt: Path,
    settings: Mapping[str, Any],
    outputs: Iterable[Path],
    reads: Mapping[Path, str] = MappingProxyType({}),
    known: Mapping[Path, Entry] = MappingProxyType({}),
) -> None:
    """Write a receipt. Of a folder it has the number of its files, whose names tell their content.

    reads: SHA-256 of the files that the step read; known: size and SHA-256 of outputs that need not be read again.
    """
    folder = receipt.parent.parent
    content = {
        "settings_sha256": digest_of_settings(settings),
        "settings": settings,
        "reads": {_name_of_read(folder, path): digest for path, digest in reads.items()},
        "outputs": {path.relative_to(folder).as_posix(): known.get(path) or _entry_of(path) for path in outputs},
    }
    write_text(receipt, as_json(content))


def _name_of_read(folder: Path, path: Path) -> str:
    """Return the name of a result that a step reads: of its own dataset, or of another one beside it.

    >>> _name_of_read(Path("results/q"), Path("results/p/records.tsv"))
    '../p/records.tsv'
    """
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return _BESIDE + path.relative_to(folder.parent).as_posix()


def _place_of_read(folder: Path, name: str) -> Path:
    return folder.parent / name.removeprefix(_BESIDE) if name.startswith(_BESIDE) else folder / name


def _entry_of(path: Path) -> Entry:
    return {"folder": _files_in(path)} if path.is_dir() else size_and_sha256(path)


def _files_in(folder: Path) -> int:
    """Return the number of files in a folder and its folders, without hidden ones, such as those of a killed job."""
    return sum(not name.startswith(".") for _, _, names in os.walk(folder) for name in names)


def is_current(receipt: Path, settings: Mapping[str, Any], compare: Iterable[Path] = ()) -> bool:
    """Return whether the results of a step are for these settings, and for the present results of other steps.

    The outputs must exist in the recorded size. Neither they nor the other results are read, but their receipts.
    compare: outputs that are read, and must have the recorded SHA-256.
    """
    content = _content(receipt)
    return (
        content is not None
        and content["settings_sha256"] == digest_of_settings(settings)
        and all(
            _written(_place_of_read(receipt.parent.parent, name)) == digest for name, digest in content["reads"].items()
        )
        and all(_is_there(path, entry) for path, entry in _outputs(receipt, content))
        and all(sha256_of(path) == _written(path) for path in compare)
    )


def _is_there(path: Path, entry: Entry) -> bool:
    if "folder" in entry:
        return path.is_dir() and _files_in(path) == entry["folder"]
    return path.is_file() and path.stat().st_size == entry["bytes"]


def _written(path: Path) -> str | None:
    """Return the SHA-256 of a file as its step wrote it, or None if no receipt has the file."""
    found = entry_of_written(path)
    return found["sha256"] if found else None


def entry_of_written(path: Path) -> Entry | None:
    """Return the bytes and sha256 of a file from the receipt of the step that wrote it, or None without a receipt."""
    folder = next((folder for folder in path.parents if (folder / FOLDER).is_dir()), None)
    if folder is None:
        return None
    for content in filter(None, map(_content, receipts_in(folder))):
        if entry := content["outputs"].get(path.relative_to(folder).as_posix()):
            return entry if "sha256" in entry else None
    return None


def recorded_settings(receipt: Path) -> dict[str, Any] | None:
    """Return the settings in a receipt; None without a readable receipt."""
    content = _content(receipt)
    return content["settings"] if content else None


def recorded_outputs(receipt: Path) -> dict[Path, Entry]:
    """Return the files in a receipt, each with its bytes and sha256. Raises StoreError for a damaged receipt."""
    return {path: entry for path, entry in _outputs(receipt, _read(receipt)) if "folder" not in entry}


def damage(receipt: Path) -> list[tuple[Path, str]]:
    """Read the outputs of a step; return those that differ from the receipt, and how, and then the receipt.

    Raises UnreadableError if a file cannot be read now, or is in another folder, where a link leads.
    """
    try:
        entries = recorded_outputs(receipt)
        require_no_links_out(receipt.parent.parent, entries)
        found = [(path, how) for path, entry in entries.items() if (how := _difference(path, entry))]
    except UnreadableError:
        raise
    except StoreError as error:
        return [(receipt, str(error))]
    except OSError as error:
        raise UnreadableError(f"{error.filename} cannot be read now, and was left unchanged: {error}") from error
    return [*found, (receipt, "describes files that changed")] if found else []


def require_no_links_out(folder: Path, paths: Iterable[Path]) -> None:
    """Raise UnreadableError if a link leads from one of the paths out of the folder."""
    for path in paths:
        try:
            inside(folder, path.relative_to(folder).as_posix())
        except ValueError as error:
            raise UnreadableError(f"{error}: a link leads out. It was not checked, and was left unchanged.") from error


def require_unchanged(files: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of results of other steps. Raises StoreError if one is not as its step wrote it."""
    found = {}
    for path in files:
        entry = entry_of_written(path)
        if entry is None:
            raise StoreError(f"{path}: no receipt has its SHA-256. Run again: the step that writes it will run.")
        if how := _difference(path, entry):
            raise StoreError(f"{path}: {how}. Run `snakemake verify`, which removes damaged files, and run again.")
        found[path] = entry["sha256"]
    return found


def as_list(results: Path, datasets: Iterable[str]) -> str:
    """Return the SHA-256 of all files in the receipts of datasets, as `sha256sum --check` reads them in `results`.

    Files that were deleted since, such as an export that is no longer asked for, are left out.
    """
    found = [receipt for name in datasets for receipt in receipts_in(results / name)]
    outputs = [item for receipt in found for item in recorded_outputs(receipt).items()]
    entries = {path: entry["sha256"] for path, entry in outputs if path.is_file()}
    return "".join(f"{digest}  {path.relative_to(results).as_posix()}\n" for path, digest in sorted(entries.items()))


def _difference(path: Path, entry: Mapping[str, Any]) -> str:
    """Return how a file differs from its entry. If it is a list of checksums, compare the files in it as well."""
    how = difference(path, entry["bytes"], entry["sha256"])
    return damage_of_listed(path) if path.suffix == LIST_SUFFIX and not how else how


def _content(receipt: Path) -> dict[str, Any] | None:
    """Return the content of a receipt; None if it is missing, damaged or cannot be read."""
    try:
        state = receipt.stat()
        return _parsed(receipt, state.st_mtime_ns, state.st_size, state.st_ino)
    except (StoreError, OSError):
        return None


@lru_cache(maxsize=20_000)
def _parsed(receipt: Path, _modified: int, _size: int, _number: int) -> dict[str, Any]:
    """Return the content of a receipt, read once while its file is the same. Raises as `_read`."""
    return _read(receipt)


def _read(receipt: Path) -> dict[str, Any]:
    """Return the content of a receipt. Raises StoreError if it is damaged, and FileNotFoundError."""
    folder = receipt.parent.parent
    try:
        content = parse_json(receipt)
        if content["settings_sha256"] != digest_of_settings(content["settings"]):
            raise ValueError("its settings do not match their SHA-256")
        for name, entry in content["outputs"].items():
            inside(folder, name, links=False)
            if not _is_of_step(receipt.stem, name):
                raise ValueError(f"{name} is not a result of this step")
            entry["folder"] if "folder" in entry else (entry["bytes"], entry["sha256"])
        for name, _ in content["reads"].items():
            beside = name.startswith(_BESIDE)
            inside(folder.parent if beside else folder, name.removeprefix(_BESIDE), links=False)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableError(f"{receipt} cannot be read now, and was left unchanged: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{receipt} is damaged ({type(error).__name__}: {error}). Delete it and run again.") from error
    return content


def _is_of_step(step: str, name: str) -> bool:
    """Return whether a step writes a file of this name."""
    kind, _, of = step.partition("-")
    return any(fnmatchcase(name, pattern.format(of=escape(of))) for pattern in _FILES_OF_STEPS.get(kind, ()))


def receipts_in(folder: Path) -> list[Path]:
    """Return the receipts of the steps of a folder, without other files beside them."""
    found = sorted((folder / FOLDER).glob("*.json"))
    return [path for path in found if path.stem.partition("-")[0] in _FILES_OF_STEPS]


def _outputs(receipt: Path, content: Mapping[str, Any]) -> Iterator[tuple[Path, Entry]]:
    for name, entry in content["outputs"].items():
        yield receipt.parent.parent / name, entry
