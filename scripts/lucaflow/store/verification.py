"""Are embeddings.h5 and its shards complete, undamaged, and in agreement with the records?"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError, UnreadableError
from lucaflow.files.checksums import size_and_sha256
from lucaflow.files.json_files import DIGEST_LENGTH, parse_json
from lucaflow.files.locks import is_free
from lucaflow.files.places import inside
from lucaflow.records.sharding import FINGERPRINT_NAMES, SHARD_NAMES, shard_name
from lucaflow.store.arrays import array_problems, rows_of_spans
from lucaflow.store.checksums import read_checked_rows
from lucaflow.store.format import (
    EMBEDDINGS_FORMAT,
    PER_SEQUENCE,
    SHARD_FORMAT,
    SPANS,
    ShardContent,
    as_store_error,
    hdf5_name,
    open_hdf5,
)

if TYPE_CHECKING:  # it imports pandas, for records.tsv
    from lucaflow.store.assembly import AcceptedRecords

_BLOCK_BYTES = 64 << 20
_ROWS_AT_ONCE = 1000


@dataclass
class Problems:
    """The problems of each file that has any."""

    by_file: dict[Path, list[str]] = field(default_factory=dict)

    def add(self, path: Path, problem: str) -> None:
        """Add a problem, which may quote damaged text."""
        self.by_file.setdefault(path, []).append(problem.encode(errors="backslashreplace").decode())

    def describe(self, shown: int = 10) -> str:
        lines = [f"{path}: {problem}" for path, problems in self.by_file.items() for problem in problems]
        more = [f"and {len(lines) - shown} more"] if len(lines) > shown else []
        return "\n  ".join([*lines[:shown], *more])


def verify_embeddings(
    path: Path,
    accepted: AcceptedRecords,
    options: EmbeddingOptions,
    attributes: Mapping[str, Any],
    shards: Sequence[Path],
) -> Problems:
    """Read embeddings.h5 and its shards, compare them with each other and with the records, return the problems.

    attributes: the attributes that embeddings.h5 must have. Raise UnreadableError if a file cannot be read now.
    """
    problems = Problems()
    with _recording_damage(path, problems), open_hdf5(path, EMBEDDINGS_FORMAT) as file:
        for name, value in {**attributes, "options": options.to_attribute()}.items():
            if file.attrs[name] != value:
                problems.add(path, f"its `{name}` is {file.attrs[name]!r}, expected {value!r}")
        _check_records(file, path, accepted, options, problems)
        for name in options.vectors:
            _check_vectors(file, path, name, accepted, options, problems)
        for name in (*options.linked, SPANS) if SPANS in file else options.linked:
            _check_links(file, path, name, accepted, shards, problems)
        seen = np.zeros(len(accepted.digests), dtype=bool)
        for shard_path in shards:
            with _recording_damage(shard_path, problems), open_hdf5(shard_path, SHARD_FORMAT) as shard:
                seen[_check_shard(shard, shard_path, file, path, accepted, options, problems)] = True
        if not problems.by_file and not seen.all():
            problems.add(path, f"sequence {accepted.digests[~seen][0].decode()} is in no shard")
    return problems


@contextmanager
def _recording_damage(path: Path, problems: Problems) -> Iterator[None]:
    """Add errors caused by damaged content to the problems; raise UnreadableError if a file cannot be read now."""
    try:
        yield
    except UnreadableError:
        raise
    except OSError as error:
        store_error = as_store_error(path, error)
        if isinstance(store_error, UnreadableError):
            raise store_error from error
        problems.add(path, str(store_error).removeprefix(f"{path}: "))
    except (StoreError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        problems.add(path, str(error).removeprefix(f"{path}: ") or repr(error))


def _check_records(
    file: h5py.File, path: Path, accepted: AcceptedRecords, options: EmbeddingOptions, problems: Problems
) -> None:
    ids = file["ids"].asstr()[:].tolist()
    if ids != accepted.ids:
        missing = set(accepted.ids) - set(ids)
        extra = set(ids) - set(accepted.ids)
        for name, group in (("missing", missing), ("not an accepted record", extra)):
            for identifier in sorted(group):
                problems.add(path, f"id {identifier!r} is {name}")
        if not missing and not extra:
            problems.add(path, "its ids are not in the order of records.tsv")
    residues, windows = options.windowing.counts(accepted.lengths)
    for name, expected in (
        ("sequence", accepted.sequence_rows),
        ("digests", accepted.digests),
        ("lengths", accepted.lengths),
        ("residues_embedded", residues),
        ("windows", windows),
    ):
        if not np.array_equal(file[name][:], expected):
            problems.add(path, f"`{name}` does not agree with records.tsv and the options")


def _check_vectors(
    file: h5py.File, path: Path, name: str, accepted: AcceptedRecords, options: EmbeddingOptions, problems: Problems
) -> None:
    dataset = file[name]
    expected = (len(accepted.digests), int(file.attrs["hidden_size"]))
    if dataset.shape != expected or dataset.dtype != options.dtype:
        problems.add(path, f"`{name}` is {dataset.dtype} {dataset.shape}, expected {options.dtype} {expected}")
        return
    rows = max(1, _BLOCK_BYTES // (4 * expected[1]))
    for start in range(0, expected[0], rows):
        finite = np.isfinite(dataset[start : start + rows]).all(axis=1)
        for row in start + np.flatnonzero(~finite):
            problems.add(path, f"`{name}` of sequence {accepted.digests[row].decode()} is not finite")


def _check_links(
    file: h5py.File, path: Path, name: str, accepted: AcceptedRecords, shards: Sequence[Path], problems: Problems
) -> None:
    names = {shard.relative_to(path.parent).as_posix() for shard in shards}
    group = file[name]
    for identifier, row in zip(accepted.ids, accepted.sequence_rows.tolist(), strict=True):
        link = group.get(hdf5_name(identifier), getlink=True)
        target = f"/{name}/{accepted.digests[row].decode()}"
        if not isinstance(link, h5py.ExternalLink) or link.filename not in names or link.path != target:
            problems.add(path, f"the link to the {name} of {identifier!r} is missing or has another target")
    if len(group) != len(accepted.ids):
        problems.add(path, f"`{name}` has {len(group)} entries, expected {len(accepted.ids)}")


def _check_shard(
    shard: h5py.File,
    shard_path: Path,
    file: h5py.File,
    path: Path,
    accepted: AcceptedRecords,
    options: EmbeddingOptions,
    problems: Problems,
) -> np.ndarray:
    """Check the checksums of all arrays of a shard, and compare its vectors with those in embeddings.h5.

    Return the rows of the shard's sequences.
    """
    if shard.attrs["fingerprint"] != file.attrs["fingerprint"]:
        problems.add(shard_path, "was made with other options")
    rows = accepted.find_rows(shard["digests"][:])
    if (rows < 0).any():
        problems.add(shard_path, "holds sequences that are not in records.tsv")
        return rows[:0]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        order = np.argsort(block)
        values = read_checked_rows(shard, np.s_[start : start + _ROWS_AT_ONCE])
        for name in (*PER_SEQUENCE, *options.vectors):
            if not np.array_equal(file[name][block[order]], values[name][order]):
                problems.add(path, f"`{name}` differs from the shard {shard_path.name}")
    if (SPANS in shard) != (SPANS in file):
        problems.add(path, f"`{SPANS}` is in it or in the shard {shard_path.name} alone")
    for problem in array_problems(shard, _content_of(shard, options, file)):
        problems.add(shard_path, problem)
    return rows


def _content_of(shard: h5py.File, options: EmbeddingOptions, file: h5py.File) -> ShardContent:
    """Return what a shard should hold. file: says checkpoint and width; spans say the rows of byte pairs."""
    digests = shard["digests"].asstr()[:].tolist()
    return ShardContent(
        digests,
        shard["lengths"][:].tolist(),
        options,
        str(file.attrs["checkpoint_sha256"]),
        int(file.attrs["hidden_size"]),
        rows_of_spans(shard, digests, options),
    )


def remove_stale_shards(shards: Sequence[Path]) -> list[Path]:
    """Remove other shards, finished or not, from the folder of the current shards; return the removed files.

    Files that a running job writes are kept, and files whose names are not those of shards.
    """
    folder = shards[0].parent
    stale = {*folder.glob(f"{SHARD_NAMES}.h5"), *folder.glob(f".{SHARD_NAMES}.h5.*.part")} - set(shards)
    names = ("working", "lock")
    unfinished = {path.with_suffix("") for name in names for path in folder.glob(f".{SHARD_NAMES}.h5.{name}")}
    for path in unfinished:
        working, lock = path.with_suffix(".h5.working"), path.with_suffix(".h5.lock")
        if is_free(lock):
            stale |= {working, lock}
    for path in stale:
        path.unlink(missing_ok=True)
    return sorted(stale)


def verified_report(
    path: Path, accepted: AcceptedRecords, options: EmbeddingOptions, records: Path, shards: Sequence[Path]
) -> dict[str, Any]:
    """Return the content of verified.json: counts, the checks made, and the files read.

    Of embeddings.h5 and records.tsv it has the size and SHA-256, of each shard the size: shards have checksums within.
    """
    residues, windows = options.windowing.counts(accepted.lengths)
    with open_hdf5(path, EMBEDDINGS_FORMAT) as file:
        attributes = {name: file.attrs[name] for name in ("dataset", "llm_version", "fingerprint", "checkpoint_sha256")}
        arrays = (*options.linked, SPANS) if SPANS in file else options.linked
    checked = ["ids, digests, lengths and attributes", "finite values", "checksums of the shards"]
    checked += ["vectors against the shards"] if options.vectors else []
    checked += [f"links and shapes of all {name}" for name in arrays]
    return {
        **attributes,
        "options": options.effective(),
        "records": len(accepted.ids),
        "distinct_sequences": len(accepted.digests),
        "residues": int(accepted.lengths.sum()),
        "residues_embedded": int(residues.sum()),
        "longest": int(accepted.lengths.max()),
        "truncated_sequences": int((residues < accepted.lengths).sum()),
        "windowed_sequences": int((windows > 1).sum()),
        "devices": sorted({device for shard in shards for device in _devices_of(shard)}),
        "checked": checked,
        "files": {
            **{os.path.relpath(name, path.parent): size_and_sha256(name) for name in (path, records)},
            **{os.path.relpath(name, path.parent): {"bytes": name.stat().st_size} for name in shards},
        },
    }


def _devices_of(shard_path: Path) -> set[str]:
    with open_hdf5(shard_path, SHARD_FORMAT) as shard:
        return set(shard["device"].asstr()[:])


def damaged_shards(report: Path) -> list[tuple[Path, str]]:
    """Return the shards in a verified.json that are missing, damaged or of another size, and how."""
    try:
        sizes = {name: entry["bytes"] for name, entry in parse_json(report)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [(report, f"damaged ({error})")]
    found = []
    for name, size in sizes.items():
        # embeddings.h5 and ../records.tsv are compared with their receipts.
        if not name.startswith("shards/"):
            continue
        try:
            path = inside(report.parent / "shards", name.removeprefix("shards/"))
        except ValueError as error:
            return [(report, str(error))]
        if not path.is_file():
            found.append((path, "missing"))
        elif how := _damage_of_size(path, size) or damage_of_shard(path):
            found.append((path, how))
    return found


def _damage_of_size(path: Path, size: int) -> str:
    found = path.stat().st_size
    return "" if found == size else f"{found} bytes, expected {size}"


def damage_of_shard(path: Path) -> str:
    """Read all of a shard; return its problems as text, empty if there are none.

    Raise UnreadableError if the file cannot be read now. Its values must match their checksums and be finite, its
    digests must match the name of the file, and its options and checkpoint the name of the folder.
    """
    problems = Problems()
    with _recording_damage(path, problems), open_hdf5(path, SHARD_FORMAT) as shard:
        for problem in _shard_problems(shard, path):
            problems.add(path, problem)
    return "; ".join(problems.by_file.get(path, []))


def _shard_problems(shard: h5py.File, path: Path) -> Iterator[str]:
    options = EmbeddingOptions.from_attribute(shard.attrs["options"])
    content = _content_of(shard, options, shard)
    fingerprint = options.fingerprint(content.checkpoint_sha256, int(shard.attrs["embedding_version"]))
    if shard.attrs["fingerprint"] != fingerprint or path.parent.name != fingerprint[:DIGEST_LENGTH]:
        yield "its fingerprint does not match its options, its checkpoint or the name of its folder"
    raw = bytes.fromhex("".join(content.digests))
    if path.stem != shard_name(np.frombuffer(raw, dtype=">u8").reshape(-1, 4)):
        yield "its sequences do not match its name"
    expected = (len(content.digests), content.hidden_size)
    for name in options.vectors:
        if shard[name].shape != expected or shard[name].dtype != options.dtype:
            yield f"`{name}` is {shard[name].dtype} {shard[name].shape}, expected {options.dtype} {expected}"
    for start in range(0, expected[0], _ROWS_AT_ONCE):
        values = read_checked_rows(shard, np.s_[start : start + _ROWS_AT_ONCE])
        for name in options.vectors:
            if not np.isfinite(values[name]).all():
                yield f"`{name}` holds values that are not finite"
    yield from array_problems(shard, content)


def unused_shard_folders(dataset: Path, current: Collection[str]) -> list[Path]:
    """Return the shard folders of a dataset that neither the configuration nor an embeddings.h5 uses.

    dataset: results/<dataset>; current: the names of the folders that the configuration uses, the first 12 characters
    of fingerprints.
    """
    unused = []
    for path in sorted(dataset.glob(f"*/shards/{FINGERPRINT_NAMES}/")):
        results = path.parent.parent / "embeddings.h5"
        if path.name in current:
            continue
        if results.is_file():
            with open_hdf5(results, EMBEDDINGS_FORMAT) as file:
                if str(file.attrs["fingerprint"]).startswith(path.name):
                    continue
        unused.append(path)
    return unused


def remove_shards(folder: Path) -> list[Path]:
    """Remove a folder of shards, finished or not; return other files in it, with which it stays."""
    for path in (*folder.glob(f"{SHARD_NAMES}.h5"), *folder.glob(f".{SHARD_NAMES}.h5.*")):
        path.unlink()
    left = sorted(folder.iterdir())
    if not left:
        folder.rmdir()
    return left
