"""Where are published and converted checkpoints kept, and what does the record of a converted one say?

The same for encoders and downstream models: a folder with `model.safetensors`, and with `checkpoint.json`, the record.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from lucaflow.checkpoints.known_models import MODELS
from lucaflow.checkpoints.layouts import Origin, is_huggingface, locate, locate_fetched, locate_own
from lucaflow.checkpoints.model import Model, default_model, named_model
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of, size_and_sha256
from lucaflow.files.json_files import parse_json
from lucaflow.files.receipts import receipt_path
from lucaflow.files.sealed import refuse_changed
from lucaflow.versions import CONVERSION_VERSION

if TYPE_CHECKING:
    from lucaflow.checkpoints.registry import Place, Registry  # reads tables, which embedding does not need

# Values of `checkpoints.source` that mean a download.
FETCHED_SOURCES = ("huggingface", "server")
CHECKPOINT_RECORD = "checkpoint.json"
MODEL_NAME = "model.safetensors"
# The head of an encoder's language model, beside the model, and its entry in the record.
HEAD_NAME = "language_model_head.safetensors"
HEAD_ENTRY = "language_model_head"


class PublishedFiles(Protocol):
    """The files that a model is converted from.

    name: of the model, for messages; root: the folder that holds them all, perhaps in folders; stated: what the record
    says of the model besides its files, such as its name.
    """

    @property
    def name(self) -> str: ...
    @property
    def root(self) -> Path: ...
    @property
    def files(self) -> tuple[Path, ...]: ...
    @property
    def stated(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class ModelSource(ABC):
    """Where the files of an encoder or a downstream model come from, and where it is converted to.

    source: `packaged`, `local`, `server` or `huggingface`; root: the folder of its published files, once they are
    there; folder: of the converted model; converter: the module whose `convert` makes it of the files; head_converter:
    the one whose `convert` adds the head of the language model to the converted one, None for a model that is no
    encoder. They need torch, which is not loaded to plan a run.
    """

    source: str
    root: Path
    folder: Path
    converter: ClassVar[str]
    head_converter: ClassVar[str | None] = None

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the model, for messages."""

    @property
    @abstractmethod
    def fetched_settings(self) -> dict[str, Any]:
        """The settings that decide which files are fetched."""

    @abstractmethod
    def places(self, registry: Registry) -> tuple[Place, ...]:
        """Return the places of the files of a fetched or packaged model. registry: those of encoders."""

    @abstractmethod
    def located(self) -> PublishedFiles:
        """Return the published files. Raises CheckpointError if some are missing."""

    @property
    def is_fetched(self) -> bool:
        """Whether the files are downloaded, rather than local or packaged."""
        return self.source in FETCHED_SOURCES


@dataclass(frozen=True)
class EncoderSource(ModelSource):
    """Where an encoder comes from.

    revision: of a repository on the Hub; has_own_place: whether the mapping `checkpoints.path` has a folder for it.
    """

    model: Model
    revision: str | None
    has_own_place: bool

    converter = "lucaflow.checkpoints.conversion"
    head_converter = "lucaflow.checkpoints.head_conversion"

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def fetched_settings(self) -> dict[str, Any]:
        return {**asdict(self.model), "source": self.source, "revision": self.revision}

    def places(self, registry: Registry) -> tuple[Place, ...]:
        return registry.places(self.model, self.source)

    def located(self) -> Origin:
        if self.has_own_place:
            return locate_own(self.root, self.model)
        return locate_fetched(self.root, self.model, self.source) if self.is_fetched else locate(self.root, self.model)


def encoder_source(model: Model, settings: Mapping[str, Any], clone: Path) -> EncoderSource:
    """Return where an encoder comes from. settings: the section `checkpoints` of the configuration."""
    directory, source, own = Path(settings["directory"]), source_of(model, settings), own_place(model, settings)
    if source in FETCHED_SOURCES:
        revision = settings["revision"] if source == "huggingface" else None
        return EncoderSource(*fetched_folders(directory, model.name, source, revision), model, revision, False)
    root = own or (clone / model.packaged if model.packaged else Path(settings["path"]))
    return EncoderSource(*folders_beside(directory, model.name, source, root), model, None, own is not None)


def fetched_folders(directory: Path, name: str, source: str, revision: str | None = None) -> tuple[str, Path, Path]:
    """Return source, root and folder of a model that is fetched, for its `ModelSource`.

    The folders are named without any path, so that the directory can be moved to another machine.
    """
    folder = folder_name(name, source, revision) if revision else f"{name}-{source}"
    return source, directory / "published" / folder, directory / folder


def folders_beside(directory: Path, name: str, source: str, root: Path) -> tuple[str, Path, Path]:
    """Return the same for a model whose files are below `root`. Copies from two places never share a folder."""
    return source, root, directory / folder_name(name, source, str(root.resolve()))


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


def converted_folder(model: Model, settings: Mapping[str, Any], clone: Path) -> Path:
    """Return the folder of a converted encoder. settings: the section `checkpoints` of the configuration."""
    return encoder_source(model, settings, clone).folder


def folder_name(name: str, source: str, place: str) -> str:
    """Return the name of a folder for a converted model. place: tells it from others of the same source."""
    return f"{name}-{source}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def model_of_folder(name: str) -> Model:
    """Return the model whose converted checkpoint is in a folder of this name."""
    stem = re.sub(r"-(huggingface|server|local|packaged)(-[0-9a-f]{8})?$", "", name)
    return named_model(stem) or Model(stem, None)


def is_converted(files: PublishedFiles, folder: Path) -> bool:
    """Return whether a folder holds an undamaged conversion of the same files. All of them are read."""
    try:
        record = read_record(folder)
    except CheckpointError:
        return False
    weights = folder / MODEL_NAME
    return (
        record["converter_version"] == CONVERSION_VERSION
        and files.stated.items() <= record.items()
        and sorted((Path(name).name, entry["sha256"]) for name, entry in record["origin"].items())
        == sorted((path.name, sha256_of(path)) for path in files.files)
        and weights.is_file()
        and size_and_sha256(weights) == record["model"]
    )


def lacks_head(folder: Path, read: bool = False) -> bool:
    """Return whether the head of the language model of an encoder must be converted still.

    Earlier versions of LucaFlow left it out. A record that says that the published files hold none lacks nothing.
    read: also compare the file with its SHA-256; otherwise it may be damaged.
    """
    path = folder / HEAD_NAME
    try:
        entry = parse_json(folder / CHECKPOINT_RECORD)[HEAD_ENTRY]
        if "bytes" not in entry:
            return False
        return path.stat().st_size != entry["bytes"] or (read and sha256_of(path) != entry["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return True


def is_unrecorded(folder: Path) -> bool:
    """Return whether a folder holds a conversion by this version of the converter whose receipt was removed.

    The weights are not read, so they may be damaged.
    """
    try:
        record, size = parse_json(folder / CHECKPOINT_RECORD), (folder / MODEL_NAME).stat().st_size
        complete = record["converter_version"] == CONVERSION_VERSION and record["model"]["bytes"] == size
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return complete and not receipt_path(folder, "convert").exists()


def holds_recorded_weights(folder: Path) -> bool:
    """Return whether `is_unrecorded`, and the weights have the SHA-256 in the record. The weights are read."""
    if not is_unrecorded(folder):
        return False
    return bool(sha256_of(folder / MODEL_NAME) == parse_json(folder / CHECKPOINT_RECORD)["model"]["sha256"])


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of the converted checkpoint in `folder`. Raises CheckpointError if it cannot be used."""
    path = folder / CHECKPOINT_RECORD
    try:
        record = parse_json(path)
        record["model"]["sha256"], record["model"]["bytes"]
        refuse_changed(record)
        record["network_sha256"], record["family"], record["origin"], record["converter_version"]
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
