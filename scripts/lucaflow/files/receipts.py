"""On what does a result depend, and is it still what its step wrote?

The last act of each step is a receipt: the settings that the step depends on, and the size and SHA-256 of each file
that it wrote. A result without a receipt, or with one for other settings, is made again. A receipt is at
`<folder>/receipts/<step>.json`; the names of files in it are relative to `<folder>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lucaflow.errors import StoreError, UnreadableError
from lucaflow.files.checksums import LIST_SUFFIX, damage_of_listed, difference, size_and_sha256
from lucaflow.files.json_files import as_json, digest_of_settings, parse_json
from lucaflow.files.writing import write_text

FOLDER = "receipts"


def receipt_path(folder: str | Path, step: str) -> Path:
    """Return the path of the receipt of a step.

    >>> receipt_path("results/proteins", "normalize").as_posix()
    'results/proteins/receipts/normalize.json'
    """
    return Path(folder) / FOLDER / f"{step}.json"


@contextmanager
def recording(
    receipt: str | Path, settings: Mapping[str, Any], outputs: Iterable[str | Path]
) -> Iterator[dict[Path, dict[str, Any]]]:
    """Remove the receipt of an earlier run; when the block succeeds, write the new one.

    settings: on which the step depends; outputs: the files and folders that the block writes, in the receipt's folder;
    the receipt itself may be among them.
    Yields a table for the size and SHA-256 of outputs that the block has computed, so that they are not read again.
    """
    path = Path(receipt)
    # While the outputs are replaced one by one, they have no receipt.
    path.unlink(missing_ok=True)
    known: dict[Path, dict[str, Any]] = {}
    yield known
    write_receipt(path, settings, [output for output in map(Path, outputs) if output != path], known)


def write_receipt(
    receipt: Path,
    settings: Mapping[str, Any],
    outputs: Iterable[Path],
    known: Mapping[Path, dict[str, Any]] = MappingProxyType({}),
) -> None:
    """Write a receipt. A folder is recorded as existing: the names of its files tell their content.

    known: size and SHA-256 of outputs that need not be read again.
    """
    folder = receipt.parent.parent
    entries = {
        path.relative_to(folder).as_posix(): known.get(path)
        or ({"folder": True} if path.is_dir() else size_and_sha256(path))
        for path in outputs
    }
    content = {"settings_sha256": digest_of_settings(settings), "settings": settings, "outputs": entries}
    write_text(receipt, as_json(content))


def is_current(receipt: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether a step ran with these settings, and its outputs exist in the recorded size. No output is read."""
    try:
        content = _read(receipt)
    except (StoreError, FileNotFoundError):
        return False
    return content["settings_sha256"] == digest_of_settings(settings) and all(
        path.is_dir() if "folder" in entry else path.is_file() and path.stat().st_size == entry["bytes"]
        for path, entry in _outputs(receipt, content)
    )


def recorded_settings(receipt: Path) -> dict[str, Any] | None:
    """Return the settings in a receipt; None without a readable receipt."""
    try:
        return _read(receipt)["settings"]
    except (StoreError, FileNotFoundError):
        return None


def recorded_outputs(receipt: Path) -> dict[Path, dict[str, Any]]:
    """Return the files in a receipt, each with its bytes and sha256. Raises StoreError for a damaged receipt."""
    return {path: entry for path, entry in _outputs(receipt, _read(receipt)) if "folder" not in entry}


def damage(receipt: Path) -> list[tuple[Path, str]]:
    """Read the outputs of a step; return those that differ from the receipt, and how, and then the receipt.

    Raises UnreadableError if a file cannot be read now.
    """
    try:
        entries = recorded_outputs(receipt)
        found = [(path, how) for path, entry in entries.items() if (how := _difference(path, entry))]
    except UnreadableError:
        raise
    except StoreError as error:
        return [(receipt, str(error))]
    except OSError as error:
        raise UnreadableError(f"{error.filename} cannot be read now, and was left unchanged: {error}") from error
    return [*found, (receipt, "describes files that changed")] if found else []


def require_unchanged(receipt: Path, files: Iterable[Path]) -> None:
    """Raise StoreError if a file is not the one in the receipt of the step that wrote it."""
    try:
        entries = recorded_outputs(receipt)
    except FileNotFoundError as error:
        raise StoreError(f"{receipt} is missing. Run again: the step that writes it will run.") from error
    for path in files:
        entry = entries.get(path)
        how = _difference(path, entry) if entry else f"not in {receipt}"
        if how:
            raise StoreError(f"{path}: {how}. Run `snakemake verify`, which removes damaged files, and run again.")


def as_list(results: Path, datasets: Iterable[str]) -> str:
    """Return the SHA-256 of all files in the receipts of datasets, as `sha256sum --check` reads them in `results`.

    Files that were deleted since, such as an export that is no longer asked for, are left out.
    """
    found = [receipt for name in datasets for receipt in sorted((results / name / FOLDER).glob("*.json"))]
    outputs = [item for receipt in found for item in recorded_outputs(receipt).items()]
    entries = {path: entry["sha256"] for path, entry in outputs if path.is_file()}
    return "".join(f"{digest}  {path.relative_to(results).as_posix()}\n" for path, digest in sorted(entries.items()))


def _difference(path: Path, entry: Mapping[str, Any]) -> str:
    """Return how a file differs from its entry. If it is a list of checksums, compare the files in it as well."""
    how = difference(path, entry["bytes"], entry["sha256"])
    return damage_of_listed(path) if path.suffix == LIST_SUFFIX and not how else how


def _read(receipt: Path) -> dict[str, Any]:
    """Return the content of a receipt. Raises StoreError if it is damaged, and FileNotFoundError."""
    try:
        content = parse_json(receipt)
        if content["settings_sha256"] != digest_of_settings(content["settings"]):
            raise ValueError("its settings do not match their SHA-256")
        for name, entry in content["outputs"].items():
            if ".." in Path(name).parts or Path(name).is_absolute():
                raise ValueError(f"{name} is outside of its folder")
            if "folder" not in entry:
                entry["bytes"], entry["sha256"]
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableError(f"{receipt} cannot be read now, and was left unchanged: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{receipt} is damaged ({type(error).__name__}: {error}). Delete it and run again.") from error
    return content


def _outputs(receipt: Path, content: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for name, entry in content["outputs"].items():
        yield receipt.parent.parent / name, entry
