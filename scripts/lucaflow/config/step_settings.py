"""What the result of each step depends on, besides the files it reads.

A step's settings are kept in a small file whose name holds their digest, and that file is an input of the step: so a
changed setting is seen by name, whatever became of Snakemake's own records, and a setting that was changed and
changed back is seen as well, since a new file of settings replaces the one before it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lucaflow import __version__
from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import Dataset, demands_of
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.files.checksums import guard_of, sha256_of
from lucaflow.files.json_files import DIGEST_LENGTH, as_json, digest_of_settings, read_json
from lucaflow.files.writing import write_text
from lucaflow.records.outcomes import NO_DEMANDS
from lucaflow.versions import (
    CHECKPOINT_CONVERSION_VERSION,
    COMPARISON_VERSION,
    EMBEDDING_VERSION,
    EMBEDDINGS_FORMAT_VERSION,
    LUCAONE_EXPORT_VERSION,
    NORMALISATION_VERSION,
    SHARDING_VERSION,
)

# Larger inputs are known by size and time of change: reading them to plan a run would take too long.
_READ_TO_PLAN = 100_000_000


@cache
def identity(path: Path) -> dict[str, Any]:
    """Return what a file is known by: its digest, for a large one its size and time of change.

    A file that cannot be read has an identity, too: its job then says what is wrong, and stops no other.
    """
    try:
        state = path.stat()
        if state.st_size > _READ_TO_PLAN:
            return {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
        return {"sha256": sha256_of(path)}
    except OSError as error:
        return {"unreadable": type(error).__name__}


def origin_settings(files: Sequence[Path]) -> dict[str, Any]:
    """Return what the files of a published checkpoint are known by, wherever they lie."""
    return {"converter": CHECKPOINT_CONVERSION_VERSION, "files": {path.name: identity(path) for path in files}}


def recorded_origin(folder: Path) -> dict[str, Any] | None:
    """Return what the model in a folder was converted from, as recorded; None where nothing is."""
    recorded = sorted(folder.glob("settings/origin-*.json"))
    return read_json(recorded[0]) if recorded else None


def fetched_origin_settings(model: Model, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides which files are fetched; `settings` are those under `checkpoints` in the configuration."""
    return {
        "converter": CHECKPOINT_CONVERSION_VERSION,
        **asdict(model),
        "source": settings["source"],
        "revision": settings["revision"],
    }


def normalize_settings(dataset: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
    demands = demands_of(config, dataset)
    return {
        "algorithm": NORMALISATION_VERSION,
        "path": str(dataset.path),
        "file": identity(dataset.path),
        "seq_type": dataset.seq_type,
        "columns": asdict(dataset.columns),
        "input": dict(config["input"]),
        **({} if demands == NO_DEMANDS else {"demands": asdict(demands)}),
    }


def split_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"algorithm": SHARDING_VERSION, "shard_tokens": config["compute"]["shard_tokens"]}


def assemble_settings(dataset: Dataset, options: EmbeddingOptions, checkpoint_sha256: str) -> dict[str, Any]:
    return {
        "format_version": EMBEDDINGS_FORMAT_VERSION,
        "dataset": dataset.name,
        "llm_version": dataset.model.llm_version,
        "llm_step": dataset.model.llm_step,
        "checkpoint_sha256": checkpoint_sha256,
        "fingerprint": options.fingerprint(checkpoint_sha256),
        "options": options.deciding(),
    }


def comparison_settings(options: EmbeddingOptions, config: Mapping[str, Any], checkpoint_sha256: str) -> dict[str, Any]:
    """Return what a comparison of precisions or windows depends on, besides the sequences."""
    return {
        "algorithm": COMPARISON_VERSION,
        "embedding_algorithm": EMBEDDING_VERSION,
        "checkpoint_sha256": checkpoint_sha256,
        "device": config["compute"]["device"],
        "options": replace(options, outputs=(), dtype="float32", matrix_add_special_token=False).deciding(),
    }


def lucaone_export_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"algorithm": LUCAONE_EXPORT_VERSION, "save_type": config["save_type"]}


def summary_settings(datasets: Iterable[Dataset]) -> dict[str, Any]:
    return {"datasets": [[dataset.name, dataset.model.name] for dataset in datasets]}


def run_settings(dataset: Dataset, config: Mapping[str, Any], checkpoint_sha256: str | None) -> dict[str, Any]:
    """Return what run.yaml says of a dataset, but for the details of its checkpoint (None: it is not embedded)."""
    libraries = ("snakemake", "torch", "numpy", "h5py", "pandas", "biopython", "safetensors")
    return {
        "dataset": {
            "name": dataset.name,
            "path": str(dataset.path),
            "seq_type": dataset.seq_type,
            "columns": asdict(dataset.columns),
            "model": asdict(dataset.model),
            "tasks": list(dataset.tasks),
        },
        "checkpoint_sha256": checkpoint_sha256,
        "config": dict(config),
        "versions": {
            "lucaflow": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in libraries},
        },
    }


def settings_path(place: str | Path, step: str, settings: Mapping[str, Any]) -> str:
    """Return the file of a step's settings below a folder; its name holds their digest."""
    return f"{place}/settings/{settings_name(step, settings)}.json"


def settings_name(step: str, settings: Mapping[str, Any]) -> str:
    """Return the name of a file of settings, without its suffix."""
    return f"{step}-{digest_of_settings(settings)[:DIGEST_LENGTH]}"


def write_settings(path: Path, step: str, settings: Mapping[str, Any]) -> None:
    """Write a file of settings, and remove the ones it replaces."""
    write_text(path, as_json(settings))
    for other in path.parent.glob(f"{step}-{'[0-9a-f]' * DIGEST_LENGTH}.json"):
        if other != path:
            other.unlink()
            guard_of(other).unlink(missing_ok=True)
