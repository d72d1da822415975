"""On which settings does the result of each step depend, besides the files it reads?

The settings of a step are recorded in its receipt (lucaflow/files/receipts.py). A step runs again if they differ.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from lucaflow import __version__
from lucaflow.checkpoints.converted_checkpoint import ModelSource
from lucaflow.config.datasets import Dataset, requirements_of
from lucaflow.config.neighbours import NeighbourOptions
from lucaflow.config.result_files import figures_of, has_likelihoods, neighbour_files
from lucaflow.config.scores import ScoreOptions
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import CheckpointError, InputError
from lucaflow.files.checksums import sha256_of
from lucaflow.files.json_files import digest_of_settings
from lucaflow.records.outcomes import NO_REQUIREMENTS
from lucaflow.records.readers import is_plain_fasta
from lucaflow.records.task_folders import files_read, is_task_folder, why_unusable_source
from lucaflow.versions import (
    COMPARISON_VERSION,
    CONVERSION_VERSION,
    EMBEDDING_VERSION,
    EMBEDDINGS_FORMAT_VERSION,
    EXPORT_VERSION,
    FIGURES_VERSION,
    LUCAONE_EXPORT_VERSION,
    NEIGHBOURS_VERSION,
    NORMALISATION_VERSION,
    PASSES_VERSION,
    SCORES_VERSION,
    SHARDING_VERSION,
    SUMMARY_VERSION,
    TABLES_VERSION,
)

# Bytes. Larger files are identified by size and modification time: reading them to plan a run would take too long.
LARGEST_HASHED_FILE = 100_000_000


@cache
def file_identity(path: Path) -> dict[str, Any]:
    """Return what identifies a file: its SHA-256, or for a large file its size and modification time.

    A folder of LucaOneTasks is identified by its files.
    A file that cannot be read raises nothing here. Its own job reports the error, and other jobs can run.
    """
    if reason := why_unusable_source(path):
        return {"unreadable": reason}
    if is_task_folder(path):
        return {"files": {file.relative_to(path).as_posix(): file_identity(file) for file in files_read(path)}}
    try:
        state = path.stat()
        if state.st_size > LARGEST_HASHED_FILE:
            return {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
        return {"sha256": sha256_of(path)}
    except OSError as error:
        return {"unreadable": type(error).__name__}


def conversion_settings(source: ModelSource, recorded: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what identifies the files that a model is converted from.

    Fetched files are known by their SHA-256 and cannot change. Others do not depend on their folder. While they are out
    of reach, an existing conversion is used; without either, the job raises the full error.

    recorded: the settings of the existing conversion; None if there is none.
    """
    if source.is_fetched:
        return {"converter": CONVERSION_VERSION, **source.fetched_settings}
    try:
        located = source.located()
    except CheckpointError:
        return dict(recorded) if recorded else {"converter": CONVERSION_VERSION, "files": {}}
    names = {path.relative_to(located.root).as_posix(): path for path in located.files}
    # Sorted, as they are when they are read back: otherwise recorded settings would not compare equal.
    return {"converter": CONVERSION_VERSION, "files": {name: file_identity(names[name]) for name in sorted(names)}}


def normalize_settings(dataset: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
    requirements = requirements_of(config, dataset)
    sharding = {"sharding": sharding_settings(config)} if dataset.is_embedded else {}
    return {
        "algorithm": NORMALISATION_VERSION,
        "path": str(dataset.path),
        "file": file_identity(dataset.path),
        "seq_type": dataset.seq_type,
        "columns": dataset.columns.settings(),
        "input": dict(config["input"]),
        **_metadata_settings(dataset),
        **({} if requirements == NO_REQUIREMENTS else {"demands": asdict(requirements)}),
        **sharding,
        **({} if _is_fasta(dataset.path) and not dataset.metadata else {"tables": TABLES_VERSION}),
    }


def _metadata_settings(dataset: Dataset) -> dict[str, Any]:
    file = dataset.metadata
    return (
        {"metadata": {"path": str(file.path), "file": file_identity(file.path), "id": file.id_column}} if file else {}
    )


@cache
def _is_fasta(path: Path) -> bool:
    """Return whether a file is FASTA. One that cannot be read counts as FASTA: its own job reports the error."""
    try:
        return bool(why_unusable_source(path)) or is_plain_fasta(path)
    except InputError:
        return True


def sharding_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"algorithm": SHARDING_VERSION, "shard_tokens": config["compute"]["shard_tokens"]}


def assemble_settings(dataset: Dataset, options: EmbeddingOptions, checkpoint_sha256: str) -> dict[str, Any]:
    return {
        "format_version": EMBEDDINGS_FORMAT_VERSION,
        "dataset": dataset.name,
        "llm_version": dataset.model.llm_version,
        "llm_step": dataset.model.llm_step,
        "checkpoint_sha256": checkpoint_sha256,
        "fingerprint": options.fingerprint(checkpoint_sha256),
        "options": options.effective(),
    }


def figure_settings(
    dataset: Dataset, options: EmbeddingOptions, config: Mapping[str, Any], note: str
) -> dict[str, Any]:
    """Return the settings of a dataset's figures. note: shown with the results of its model."""
    label = dataset.columns.label
    lists_neighbours = bool(neighbour_files(options, config["neighbours"], labelled=False))
    return {
        "algorithm": FIGURES_VERSION,
        "figures": figures_of(options, config["figures"]),
        "neighbours": _search_options(config) if lists_neighbours else None,
        **({"reference": dataset.reference} if dataset.reference else {}),
        # Columns of the page of a map. Of a dataset without them it does not depend on them.
        **({"tasks": list(dataset.tasks)} if dataset.tasks else {}),
        **({"likelihoods": True} if has_likelihoods(dataset, config) else {}),
        "note": note,
        # An index says nothing to a reader.
        "label": "label" if label is None or label.lstrip("-").isdecimal() else label,
    }


def search_settings(dataset: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a search for neighbours, besides the embeddings that it reads."""
    return {**_search_options(config), "reference": dataset.reference}


def _search_options(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"algorithm": NEIGHBOURS_VERSION, **NeighbourOptions.from_config(config["neighbours"]).settings()}


def found_neighbours_settings(options: NeighbourOptions, number: int, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return all on which the neighbours of a sequence depend. number: k; content: identifies the vectors compared."""
    return {"algorithm": NEIGHBOURS_VERSION, **options.settings(), "k": number, **content}


def score_settings(
    dataset: Dataset, scores: ScoreOptions, precision: str, digests: Mapping[str, str], note: str
) -> dict[str, Any]:
    """Return the settings of a dataset's scores. digests: SHA-256 of the network and the head of its language model.

    note: shown with the results of its model.
    """
    outputs = [name for name in ("likelihood", "residues", "scan", "contacts") if name in scores.outputs]
    file = dataset.variants
    variants = {
        "path": str(file),
        "file": file_identity(file),
        "methods": list(scores.methods),
        "first_residue": scores.first_residue,
    } if file else None  # fmt: skip
    return {
        "algorithm": SCORES_VERSION,
        "dataset": dataset.name,
        "model": dataset.model.name,
        "precision": precision,
        **digests,
        "outputs": outputs,
        "scan": scores.scan_method if "scan" in outputs else None,
        # The numbers on the axis of a heat map.
        "first_residue": scores.first_residue if "scan" in outputs else None,
        "variants": variants,
        "note": note,
    }


def passes_fingerprint(precision: str, digests: Mapping[str, str]) -> str:
    """Return the hex SHA-256 of all that the results of a pass depend on, besides the sequence."""
    return digest_of_settings({"algorithm": PASSES_VERSION, "precision": precision, **digests})


def comparison_settings(options: EmbeddingOptions, config: Mapping[str, Any], checkpoint_sha256: str) -> dict[str, Any]:
    """Return the settings on which a comparison of precisions or windows depends, besides the sequences."""
    return {
        "algorithm": COMPARISON_VERSION,
        "embedding_algorithm": EMBEDDING_VERSION,
        "checkpoint_sha256": checkpoint_sha256,
        "device": config["compute"]["device"],
        "options": replace(options, outputs=(), dtype="float32", matrix_add_special_token=False).effective(),
    }


def export_settings(export: str, options: EmbeddingOptions, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an export. export: as in the configuration."""
    if export == "lucaone":
        return {"algorithm": LUCAONE_EXPORT_VERSION, "save_type": config["save_type"]}
    held = options.outputs if export in ("standalone", "by_id") else options.vectors
    return {"algorithm": EXPORT_VERSION, "outputs": list(held)}


def summary_settings(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings of the summary. runs: `run_settings` by dataset."""
    return {"algorithm": SUMMARY_VERSION, "runs": dict(runs)}


def run_settings(dataset: Dataset, config: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of run.yaml for a dataset, without the details of its checkpoints.

    digests: SHA-256 of the checkpoints that embed it, by the model's name. Of several models, lists or mappings take
    the places of single values.
    """
    models = [asdict(model) for model in dataset.models]
    one = next(iter(digests.values()), None) if len(digests) < 2 else None
    return {
        "dataset": {
            "name": dataset.name,
            "path": str(dataset.path),
            "seq_type": dataset.seq_type,
            "columns": dataset.columns.settings(),
            **({"metadata": str(dataset.metadata.path)} if dataset.metadata else {}),
            **({"variants": str(dataset.variants)} if dataset.variants else {}),
            **{name: value for name, value in _further_choices(dataset).items() if value},
            "model": models if len(models) > 1 else models[0],
            "tasks": list(dataset.tasks),
        },
        "checkpoint_sha256": dict(digests) if len(digests) > 1 else one,
        "config": dict(config),
        "versions": {"lucaflow": __version__, "python": platform.python_version(), **_versions_of_libraries()},
    }


def _further_choices(dataset: Dataset) -> dict[str, str | None]:
    """Return the other columns of the table of datasets, by their names, that a dataset may leave empty."""
    return {
        "metadata_id": dataset.metadata.id_column if dataset.metadata else None,
        "reference": dataset.reference,
        "split_column": dataset.split_column,
        "group_column": dataset.group_column,
    }


@cache
def _versions_of_libraries() -> dict[str, str]:
    """Return the versions of the main libraries. They are read once, since that takes 10 ms a call."""
    from importlib.metadata import version  # jobs do not need it

    libraries = ("snakemake", "torch", "numpy", "h5py", "pandas", "biopython", "safetensors")
    return {name: version(name) for name in libraries}
