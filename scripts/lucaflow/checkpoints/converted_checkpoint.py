"""Where are published and converted checkpoints kept, and what does the record of a converted one say?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.known_models import MODELS
from lucaflow.checkpoints.layouts import Origin, is_huggingface, locate, locate_fetched, locate_own
from lucaflow.checkpoints.model import Model, default_model, named_model
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of
from lucaflow.files.json_files import parse_json
from lucaflow.files.receipts import receipt_path
from lucaflow.files.sealed import refuse_changed

# Values of `checkpoints.source` that mean a download.
FETCHED_SOURCES = ("huggingface", "server")
CHECKPOINT_RECORD = "checkpoint.json"
MODEL_NAME = "model.safetensors"


def own_names(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of one's own in the mapping `checkpoints.path`. settings: the section `checkpoints`."""
    mapping = settings["path"] if isinstance(settings["path"], Mapping) else {}
    return [name for name in mapping if not default_model(name)]


def own_place(model: Model, settings: Mapping[str, Any]) -> Path | None:
    """Return the directory that the mapping `checkpoints.path` has for a model: by name and step, else by version."""
    mapping = settings.get("path")
    if not isinstance(mapping, Mapping):
        return None
    place = mapping.get(model.name, mapping.get(model.llm_version))
    return Path(place) if place else None


def source_of(model: Model, settings: Mapping[str, Any]) -> str:
    """Return the source of a model. settings: the section `checkpoints` of the configuration."""
    if own_place(model, settings):
        return "local"
    return "packaged" if model.packaged else settings["source"]


def is_fetched(model: Model, settings: Mapping[str, Any]) -> bool:
    """Return whether a model is downloaded, rather than local or packaged."""
    return source_of(model, settings) in FETCHED_SOURCES


def published_folder(model: Model, settings: Mapping[str, Any]) -> Path:
    """Return the folder for the published files of a downloaded checkpoint."""
    return Path(settings["directory"]) / "published" / _name_of_fetched(model, settings)


def converted_folder(model: Model, settings: Mapping[str, Any], clone: Path) -> Path:
    """Return the folder of a converted checkpoint. Copies of a model from two sources never share a folder."""
    directory, source = Path(settings["directory"]), source_of(model, settings)
    if is_fetched(model, settings):
        return directory / _name_of_fetched(model, settings)
    return directory / folder_name(model.name, source, str(_source_root(model, settings, clone).resolve()))


def _name_of_fetched(model: Model, settings: Mapping[str, Any]) -> str:
    """Return a folder name without any path, so that the directory can be moved to another machine."""
    source = source_of(model, settings)
    revision = settings["revision"] if source == "huggingface" else None
    return folder_name(model.name, source, revision) if revision else f"{model.name}-{source}"


def folder_name(name: str, source: str, place: str) -> str:
    """Return the name of a folder for a converted model. place: tells it from others of the same source."""
    return f"{name}-{source}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def _source_root(model: Model, settings: Mapping[str, Any], clone: Path) -> Path:
    if place := own_place(model, settings):
        return place
    return clone / model.packaged if model.packaged else Path(settings["path"])


def published_files(model: Model, settings: Mapping[str, Any], clone: Path) -> Origin:
    """Find the downloaded, local or packaged files to convert. Raises CheckpointError if some are missing."""
    if place := own_place(model, settings):
        return locate_own(place, model)
    if not is_fetched(model, settings):
        return locate(_source_root(model, settings, clone), model)
    return locate_fetched(published_folder(model, settings), model, source_of(model, settings))


def model_of_folder(name: str) -> Model:
    """Return the model whose converted checkpoint is in a folder of this name."""
    stem = re.sub(r"-(huggingface|server|local|packaged)(-[0-9a-f]{8})?$", "", name)
    return named_model(stem) or Model(stem, None)


def is_unrecorded(folder: Path, record_name: str, converter_version: int) -> bool:
    """Return whether a folder holds a conversion by this version of the converter whose receipt was removed.

    record_name: of the record in the folder. The weights are not read, so they may be damaged.
    """
    try:
        record, size = parse_json(folder / record_name), (folder / MODEL_NAME).stat().st_size
        complete = record["converter_version"] == converter_version and record["model"]["bytes"] == size
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return complete and not receipt_path(folder, "convert").exists()


def holds_recorded_weights(folder: Path, record_name: str, converter_version: int) -> bool:
    """Return whether `is_unrecorded`, and the weights have the SHA-256 in the record. The weights are read."""
    if not is_unrecorded(folder, record_name, converter_version):
        return False
    return bool(sha256_of(folder / MODEL_NAME) == parse_json(folder / record_name)["model"]["sha256"])


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of the converted checkpoint in `folder`. Raises CheckpointError if it cannot be used."""
    path = folder / CHECKPOINT_RECORD
    try:
        record = parse_json(path)
        record["model"]["sha256"], record["model"]["bytes"], record["encoder"]
        refuse_changed(record)
        record["network_sha256"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(_not_converted(folder)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not the record of a converted checkpoint ({error}). In a folder of checkpoints.directory, "
            "`snakemake fetch` converts the checkpoint anew; otherwise correct the path."
        ) from error
    return record


def _not_converted(folder: Path) -> str:
    """Return what a folder is that holds no converted checkpoint, and what to do instead. It may be somebody's."""
    wanted = "Give the folder of a converted checkpoint, in checkpoints.directory"
    if not folder.exists():
        return f"there is no {folder}. {wanted}, or a name: {', '.join(MODELS)}."
    if not folder.is_dir():
        return f"{folder} is a file. {wanted}."
    if not ((folder / "llm").is_dir() or is_huggingface(folder) or list(folder.glob("*.pth"))):
        return f"{folder} is not a converted checkpoint: it has no {CHECKPOINT_RECORD}. {wanted}."
    return (
        f"{folder} holds a checkpoint as it was published, which is converted before it is used. Set model.llm_version "
        f"and model.llm_step to what it is, checkpoints.source to `local` and checkpoints.path to {folder}, and run "
        "`snakemake fetch`, which converts the checkpoint into a folder of checkpoints.directory. Give that one "
        "here. The published one stays as it is."
    )
