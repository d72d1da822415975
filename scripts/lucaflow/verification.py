"""Reading results back: is everything there that should be, and is it sound?"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lucaflow.assembly import Accepted
from lucaflow.errors import StoreError
from lucaflow.files import sha256_of
from lucaflow.settings import EmbeddingOptions
from lucaflow.store import FORMAT, LINKED, SHARD_FORMAT, key_of, open_hdf5

logger = logging.getLogger(__name__)

_BLOCK_BYTES = 64 << 20


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
    path: Path, accepted: Accepted, options: EmbeddingOptions, fingerprint: str, shards: Sequence[Path]
) -> Finding:
    """Read embeddings.h5, and the shards its links lead to, and compare with the records that should be in it."""
    finding = Finding()
    try:
        with open_hdf5(path, FORMAT) as file:
            if file.attrs["fingerprint"] != fingerprint:
                finding.add(path, "was made with other options")
            _check_records(file, path, accepted, finding)
            for name in options.vectors:
                _check_vectors(file, path, name, accepted, finding)
            linked = [name for name in LINKED if name in options.outputs]
            for name in linked:
                _check_links(file, path, name, accepted, shards, finding)
    except (StoreError, OSError, KeyError, RuntimeError) as error:
        finding.add(path, str(error).removeprefix(f"{path}: "))
        linked = []
    if linked:
        _check_shards(linked, accepted, options, fingerprint, shards, finding)
    return finding


def _check_records(file: h5py.File, path: Path, accepted: Accepted, finding: Finding) -> None:
    ids = file["ids"].asstr()[:].tolist()
    if ids != accepted.ids:
        missing = set(accepted.ids) - set(ids)
        extra = set(ids) - set(accepted.ids)
        for name, group in (("missing", missing), ("not an accepted record", extra)):
            for identifier in sorted(group):
                finding.add(path, f"id {identifier!r} is {name}")
        if not missing and not extra:
            finding.add(path, "the ids are not in the order of the records")
    for name, expected in (
        ("sequence", accepted.sequence),
        ("digests", accepted.digests),
        ("lengths", accepted.lengths),
    ):
        if not np.array_equal(file[name][:], expected):
            finding.add(path, f"`{name}` differs from records.tsv")


def _check_vectors(file: h5py.File, path: Path, name: str, accepted: Accepted, finding: Finding) -> None:
    dataset = file[name]
    expected = (len(accepted.digests), int(file.attrs["hidden_size"]))
    if dataset.shape != expected:
        finding.add(path, f"`{name}` has shape {dataset.shape}, expected {expected}")
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


def _check_shards(
    linked: Sequence[str],
    accepted: Accepted,
    options: EmbeddingOptions,
    fingerprint: str,
    shards: Sequence[Path],
    finding: Finding,
) -> None:
    """Read every array of every shard. What HDF5's checksums reject counts as damaged."""
    seen = np.zeros(len(accepted.digests), dtype=bool)
    for shard_path in shards:
        try:
            with open_hdf5(shard_path, SHARD_FORMAT) as shard:
                if shard.attrs["fingerprint"] != fingerprint:
                    finding.add(shard_path, "was made with other options")
                rows = accepted.rows_of(shard["digests"][:])
                seen[rows[rows >= 0]] = True
                for name in linked:
                    for problem in _array_problems(shard, name, options):
                        finding.add(shard_path, problem)
        except (StoreError, OSError, KeyError, RuntimeError) as error:
            finding.add(shard_path, str(error).removeprefix(f"{shard_path}: "))
    if not finding.problems and not seen.all():
        finding.add(shards[0].parent, f"no shard holds the sequence {accepted.digests[~seen][0].decode()}")


def _array_problems(shard: h5py.File, name: str, options: EmbeddingOptions) -> Iterator[str]:
    hidden_size = int(shard.attrs["hidden_size"])
    more = 2 if options.matrix_add_special_token else 0
    digests, embedded = shard["digests"].asstr()[:], shard["residues_embedded"][:]
    for digest, residues in zip(digests, embedded.tolist(), strict=True):
        dataset = shard[f"{name}/{digest}"]
        expected = (residues + more, hidden_size)
        if dataset.shape != expected:
            yield f"the {name} of {digest} has shape {dataset.shape}, expected {expected}"
        elif not np.isfinite(dataset[:]).all():
            yield f"the {name} of {digest} holds values that are not finite"


def remove_stale(shards: Sequence[Path]) -> list[Path]:
    """Remove and return what lies beside the current shards and is none of them."""
    stale = sorted(path for path in shards[0].parent.iterdir() if path not in set(shards))
    for path in stale:
        path.unlink()
    return stale


def verified_report(path: Path, accepted: Accepted, files: Sequence[Path]) -> dict[str, Any]:
    """Return what verified.json says: counts, and size and digest of every file that was read."""
    with open_hdf5(path, FORMAT) as file:
        residues_embedded = file["residues_embedded"][:]
        windows = file["windows"][:]
        attributes = {name: file.attrs[name] for name in ("dataset", "llm_version", "fingerprint", "checkpoint_sha256")}
        options = json.loads(file.attrs["options"])
    return {
        **attributes,
        "options": options,
        "records": len(accepted.ids),
        "distinct_sequences": len(accepted.digests),
        "residues": int(accepted.lengths.sum()),
        "residues_embedded": int(residues_embedded.sum()),
        "longest": int(accepted.lengths.max()),
        "truncated_sequences": int((residues_embedded < accepted.lengths).sum()),
        "windowed_sequences": int((windows > 1).sum()),
        "checked": "ids, digests and lengths against records.tsv; shapes; finite values; links; checksums",
        "files": {
            str(name.relative_to(path.parent)) if name.is_relative_to(path.parent) else f"../{name.name}": {
                "bytes": name.stat().st_size,
                "sha256": sha256_of(name),
            }
            for name in files
        },
    }


def changed_files(report_path: Path) -> list[tuple[Path, str]]:
    """Compare the files that verified.json names with what they were; return those that differ, and how."""
    try:
        files = json.loads(report_path.read_text(encoding="utf-8"))["files"]
        expected = {report_path.parent / name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [(report_path, f"damaged ({error})")]
    changed = []
    for path, (size, digest) in expected.items():
        if not path.is_file():
            changed.append((path, "missing"))
        elif path.stat().st_size != size:
            changed.append((path, f"{path.stat().st_size} bytes, expected {size}"))
        elif sha256_of(path) != digest:
            changed.append((path, "its content is not what was verified"))
    return changed
