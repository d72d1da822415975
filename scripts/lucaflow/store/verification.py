"""Reading results back: is everything there that should be, and is it sound?"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lucaflow.encoders.vocabulary import CLS_AND_SEP
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError, UnreadableError
from lucaflow.files.checksums import describe
from lucaflow.files.locks import is_free
from lucaflow.store.assembly import Accepted
from lucaflow.store.checksums import read_checked, read_rows
from lucaflow.store.format import COUNTS, FORMAT, SHARD_FORMAT, key_of, open_hdf5, read_error

_BLOCK_BYTES = 64 << 20
_ROWS_AT_ONCE = 1000


@dataclass
class Finding:
    """What is wrong, by the file that is at fault."""

    problems: dict[Path, list[str]] = field(default_factory=dict)

    def add(self, path: Path, problem: str) -> None:
        self.problems.setdefault(path, []).append(problem)

    def describe(self, shown: int = 10) -> str:
        lines = [f"{path}: {problem}" for path, problems in self.problems.items() for problem in problems]
        more = [f"and {len(lines) - shown} more"] if len(lines) > shown else []
        return "\n  ".join([*lines[:shown], *more])


def verify_embeddings(
    path: Path, accepted: Accepted, options: EmbeddingOptions, attributes: Mapping[str, Any], shards: Sequence[Path]
) -> Finding:
    """Read embeddings.h5 and its shards, and compare them with each other and with the records.

    `attributes` are those that embeddings.h5 must have. Raises UnreadableError where a file cannot be read now.
    """
    finding = Finding()
    with _damage_of(path, finding), open_hdf5(path, FORMAT) as file:
        for name, value in {**attributes, "options": options.to_attribute()}.items():
            if file.attrs[name] != value:
                finding.add(path, f"its `{name}` is {file.attrs[name]!r}, expected {value!r}")
        _check_records(file, path, accepted, options, finding)
        for name in options.vectors:
            _check_vectors(file, path, name, accepted, options, finding)
        for name in options.linked:
            _check_links(file, path, name, accepted, shards, finding)
        seen = np.zeros(len(accepted.digests), dtype=bool)
        for shard_path in shards:
            with _damage_of(shard_path, finding), open_hdf5(shard_path, SHARD_FORMAT) as shard:
                seen[_check_shard(shard, shard_path, file, path, accepted, options, finding)] = True
        if not finding.problems and not seen.all():
            finding.add(path, f"no shard holds the sequence {accepted.digests[~seen][0].decode()}")
    return finding


@contextmanager
def _damage_of(path: Path, finding: Finding) -> Iterator[None]:
    """Turn what damaged content raises into a finding; what only keeps a file from being read now is raised."""
    try:
        yield
    except UnreadableError:
        raise
    except OSError as error:
        problem = read_error(path, error)
        if isinstance(problem, UnreadableError):
            raise problem from error
        finding.add(path, str(problem).removeprefix(f"{path}: "))
    except (StoreError, KeyError, RuntimeError) as error:
        finding.add(path, str(error).removeprefix(f"{path}: "))


def _check_records(
    file: h5py.File, path: Path, accepted: Accepted, options: EmbeddingOptions, finding: Finding
) -> None:
    ids = file["ids"].asstr()[:].tolist()
    if ids != accepted.ids:
        missing = set(accepted.ids) - set(ids)
        extra = set(ids) - set(accepted.ids)
        for name, group in (("missing", missing), ("not an accepted record", extra)):
            for identifier in sorted(group):
                finding.add(path, f"id {identifier!r} is {name}")
        if not missing and not extra:
            finding.add(path, "the ids are not in the order of the records")
    residues, windows = options.windowing.counts(accepted.lengths)
    for name, expected in (
        ("sequence", accepted.sequence),
        ("digests", accepted.digests),
        ("lengths", accepted.lengths),
        ("residues_embedded", residues),
        ("windows", windows),
    ):
        if not np.array_equal(file[name][:], expected):
            finding.add(path, f"`{name}` is not what records.tsv and the options say")


def _check_vectors(
    file: h5py.File, path: Path, name: str, accepted: Accepted, options: EmbeddingOptions, finding: Finding
) -> None:
    dataset = file[name]
    expected = (len(accepted.digests), int(file.attrs["hidden_size"]))
    if dataset.shape != expected or dataset.dtype != options.dtype:
        finding.add(path, f"`{name}` is {dataset.dtype} {dataset.shape}, expected {options.dtype} {expected}")
        return
    rows = max(1, _BLOCK_BYTES // (4 * expected[1]))
    for start in range(0, expected[0], rows):
        finite = np.isfinite(dataset[start : start + rows]).all(axis=1)
        for row in start + np.flatnonzero(~finite):
            finding.add(path, f"`{name}` of the sequence {accepted.digests[row].decode()} is not finite")


def _check_links(
    file: h5py.File, path: Path, name: str, accepted: Accepted, shards: Sequence[Path], finding: Finding
) -> None:
    names = {shard.relative_to(path.parent).as_posix() for shard in shards}
    group = file[name]
    for identifier, row in zip(accepted.ids, accepted.sequence.tolist(), strict=True):
        link = group.get(key_of(identifier), getlink=True)
        target = f"/{name}/{accepted.digests[row].decode()}"
        if not isinstance(link, h5py.ExternalLink) or link.filename not in names or link.path != target:
            finding.add(path, f"the link to the {name} of {identifier!r} is missing or leads elsewhere")
    if len(group) != len(accepted.ids):
        finding.add(path, f"`{name}` has {len(group)} entries, expected {len(accepted.ids)}")


def _check_shard(
    shard: h5py.File,
    shard_path: Path,
    file: h5py.File,
    path: Path,
    accepted: Accepted,
    options: EmbeddingOptions,
    finding: Finding,
) -> np.ndarray:
    """Read every array of a shard, which checksums guard, and compare the vectors with those in embeddings.h5.

    Returns the rows of the shard's sequences.
    """
    if shard.attrs["fingerprint"] != file.attrs["fingerprint"]:
        finding.add(shard_path, "was made with other options")
    rows = accepted.rows_of(shard["digests"][:])
    if (rows < 0).any():
        finding.add(shard_path, "holds sequences that are not among the records")
        return rows[:0]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        order = np.argsort(block)
        values = read_rows(shard, np.s_[start : start + _ROWS_AT_ONCE])
        for name in (*COUNTS, *options.vectors):
            if not np.array_equal(file[name][block[order]], values[name][order]):
                finding.add(path, f"`{name}` differs from the shard {shard_path.name}")
    residues, _ = options.windowing.counts(accepted.lengths[rows])
    for name in options.linked:
        for problem in _array_problems(shard, name, residues, options):
            finding.add(shard_path, problem)
    return rows


def _array_problems(shard: h5py.File, name: str, residues: np.ndarray, options: EmbeddingOptions) -> Iterator[str]:
    hidden_size = int(shard.attrs["hidden_size"])
    more = CLS_AND_SEP * options.matrix_add_special_token
    for digest, count in zip(shard["digests"].asstr()[:], residues.tolist(), strict=True):
        dataset = shard[f"{name}/{digest}"]
        expected = (count + more, hidden_size) if name == "matrix" else (count, count)
        if dataset.shape != expected or dataset.dtype != options.dtype:
            yield f"the {name} of {digest} is {dataset.dtype} {dataset.shape}, expected {options.dtype} {expected}"
        elif not np.isfinite(read_checked(dataset)).all():
            yield f"the {name} of {digest} holds values that are not finite"


def remove_stale(shards: Sequence[Path]) -> list[Path]:
    """Remove and return the shards, and what is left of unfinished ones, that lie beside the current shards.

    What a job works at now stays.
    """
    folder = shards[0].parent
    stale = {*folder.glob("[!.]*.h5"), *folder.glob(".*.h5.*.part")} - set(shards)
    unfinished = {path.with_suffix("") for name in ("working", "lock") for path in folder.glob(f".*.h5.{name}")}
    for path in unfinished:
        working, lock = path.with_suffix(".h5.working"), path.with_suffix(".h5.lock")
        if is_free(lock):
            stale |= {working, lock}
    for path in stale:
        path.unlink(missing_ok=True)
    return sorted(stale)


def verified_report(path: Path, accepted: Accepted, options: EmbeddingOptions, files: Sequence[Path]) -> dict[str, Any]:
    """Return what verified.json says: counts, what was checked, and size and digest of every file that was read."""
    residues, windows = options.windowing.counts(accepted.lengths)
    with open_hdf5(path, FORMAT) as file:
        attributes = {name: file.attrs[name] for name in ("dataset", "llm_version", "fingerprint", "checkpoint_sha256")}
    checked = ["ids, digests, lengths and attributes", "finite values", "checksums of the shards"]
    checked += ["vectors against the shards"] if options.vectors else []
    checked += [f"links and shapes of all {name}" for name in options.linked]
    return {
        **attributes,
        "options": options.deciding(),
        "records": len(accepted.ids),
        "distinct_sequences": len(accepted.digests),
        "residues": int(accepted.lengths.sum()),
        "residues_embedded": int(residues.sum()),
        "longest": int(accepted.lengths.max()),
        "truncated_sequences": int((residues < accepted.lengths).sum()),
        "windowed_sequences": int((windows > 1).sum()),
        "devices": sorted(
            {device for name in files if name.parent.parent.name == "shards" for device in _devices_of(name)}
        ),
        "checked": checked,
        "files": {os.path.relpath(name, path.parent): describe(name) for name in files},
    }


def _devices_of(shard_path: Path) -> set[str]:
    with open_hdf5(shard_path, SHARD_FORMAT) as shard:
        return set(shard["device"].asstr()[:])


def damage_of_shard(path: Path) -> str:
    """Read all of a shard, which checksums guard; say what is wrong with it, or nothing."""
    finding = Finding()
    with _damage_of(path, finding), open_hdf5(path, SHARD_FORMAT) as shard:
        read_rows(shard, np.s_[:])
        for digest in shard["digests"].asstr()[:]:
            read_checked(shard[f"matrix/{digest}"])
    return "; ".join(finding.problems.get(path, []))


def unused_folders(dataset: Path, current: Collection[str]) -> list[Path]:
    """Return the folders of a dataset's shards whose fingerprint is neither current nor that of an embeddings.h5.

    dataset: results/<dataset>; current: names of folders, the first 12 characters of fingerprints.
    """
    unused = []
    for path in sorted(dataset.glob("*/shards/*/")):
        results = path.parent.parent / "embeddings.h5"
        if path.name in current:
            continue
        if results.is_file():
            with open_hdf5(results, FORMAT) as file:
                if str(file.attrs["fingerprint"]).startswith(path.name):
                    continue
        unused.append(path)
    return unused
