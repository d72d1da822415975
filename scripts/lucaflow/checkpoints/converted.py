"""Where converted checkpoints are kept, and what is recorded of one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.layouts import Origin, locate, locate_fetched
from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError
from lucaflow.files.json_files import parse_json

# Where `checkpoints.source` means a download.
FETCHED_SOURCES = ("huggingface", "server")
CHECKPOINT_RECORD = "checkpoint.json"
MODEL_NAME = "model.safetensors"


def source_of(model: Model, settings: Mapping[str, Any]) -> str:
    """Return where a model comes from; `settings` are those under `checkpoints` in the configuration."""
    return "packaged" if model.llm_version == "mini" else settings["source"]


def is_fetched(model: Model, settings: Mapping[str, Any]) -> bool:
    """Say whether a model has to be downloaded."""
    return source_of(model, settings) in FETCHED_SOURCES


def published_folder(model: Model, settings: Mapping[str, Any]) -> Path:
    """Return where the files of a downloaded checkpoint are kept, as they were published."""
    return Path(settings["directory"]) / "published" / _name_of_fetched(model, settings)


def converted_folder(model: Model, settings: Mapping[str, Any], clone: Path) -> Path:
    """Return where a converted checkpoint is kept: copies of one model from two places never share a folder."""
    directory, source = Path(settings["directory"]), source_of(model, settings)
    if is_fetched(model, settings):
        return directory / _name_of_fetched(model, settings)
    return directory / folder_name(model.name, source, str(_own_root(model, settings, clone).resolve()))


def _name_of_fetched(model: Model, settings: Mapping[str, Any]) -> str:
    """The name says nothing of the place, so that the directory may be moved to another machine."""
    source = source_of(model, settings)
    revision = settings["revision"] if source == "huggingface" else None
    return folder_name(model.name, source, revision) if revision else f"{model.name}-{source}"


def folder_name(name: str, source: str, place: str) -> str:
    """Return the name of a folder for something converted. place: what tells it from others of the same source."""
    return f"{name}-{source}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def _own_root(model: Model, settings: Mapping[str, Any], clone: Path) -> Path:
    return clone / "resources/mini" if source_of(model, settings) == "packaged" else Path(settings["path"])


def published_files(model: Model, settings: Mapping[str, Any], clone: Path) -> Origin:
    """Find the files to convert: downloaded, local, or packaged ones. Raises CheckpointError for what is missing."""
    if not is_fetched(model, settings):
        return locate(_own_root(model, settings, clone), model)
    return locate_fetched(published_folder(model, settings), model, source_of(model, settings))


def model_of_folder(name: str) -> Model:
    """Return the model whose converted checkpoint is kept in a folder of this name."""
    version, step = re.match(r"(lucaone|lucaone-gene|lucaone-prot|mini)-(\d+)-", name).groups()  # type: ignore[union-attr]
    return Model(version, int(step))


def read_record(folder: Path) -> dict[str, Any]:
    """Return what was recorded when the checkpoint in `folder` was converted."""
    path = folder / CHECKPOINT_RECORD
    try:
        record = parse_json(path)
        record["model"]["sha256"], record["model"]["bytes"], record["encoder"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is no record of a converted checkpoint ({error}). Delete {folder} and run again."
        ) from error
    return record
