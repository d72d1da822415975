"""Which files make up a published checkpoint, and where are they?

A checkpoint has LucaOne's own layout or is a Hugging Face model directory. `conversion` turns either into a folder
with `model.safetensors` and `checkpoint.json`; all later steps read only these two files.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError, quoted
from lucaflow.files.json_files import parse_json
from lucaflow.files.places import inside

_NEW_LAYOUT = "models/lucaone/{version}/checkpoint-step{step}"
_OLD_LAYOUT = (
    "models/lucagplm/v2.0/token_level,span_level,seq_level,structure_level/lucaone_gplm/20231125113045/"
    "checkpoint-step{step}"
)
_LUCAONE_WEIGHTS = "pytorch.pth"
# `model_type` in config.json of networks whose tokens are in tokenizer.json.
_WITH_TOKENIZER = ("bert",)
# How a file begins that Git keeps in place of a large one.
_LFS_POINTER = b"version https://git-lfs.github.com/"
# Bytes of the header of a file of safetensors, by its own specification.
_LARGEST_HEADER = 100_000_000
_HUGGINGFACE_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


@dataclass(frozen=True)
class Origin:
    """The published files of an encoder.

    layout: `lucaone` or `huggingface`; tokenizer: the file that says how sequences become tokens, if there is one.
    """

    model: Model
    layout: str
    config: Path
    weights: tuple[Path, ...]
    tokenizer: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.config, *self.weights, *([self.tokenizer] if self.tokenizer else []))

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def root(self) -> Path:
        return self.config.parent

    @property
    def stated(self) -> dict[str, Any]:
        """What the record of the converted model says of it."""
        return {**asdict(self.model), "layout": self.layout}


def is_huggingface(root: Path) -> bool:
    """Return whether a directory is a Hugging Face model directory rather than the root of LucaOne's layout."""
    return not (root / "llm").is_dir() and any((root / name).is_file() for name in _HUGGINGFACE_WEIGHTS)


def locate(root: Path, model: Model) -> Origin:
    """Find a checkpoint's files below `root`.

    `root` holds `llm/models/...` (LucaOne's layout, new or old), or is itself a Hugging Face model directory.
    Raises CheckpointError that names the missing and the expected files.
    """
    if not root.is_dir():
        found = f"{root} is a file, not a directory" if root.exists() else f"there is no directory {root}"
        raise CheckpointError(
            f"checkpoint {model.name}: {found}. Set checkpoints.path to the directory that "
            "holds llm/models/ (LucaOne's layout), or to a Hugging Face model directory."
        )
    # Models without steps have no place in LucaOne's layout.
    if (root / "llm").is_dir() and model.llm_step is not None:
        return _locate_lucaone(root / "llm", model)
    return _locate_huggingface(root, model)


def locate_own(root: Path, model: Model) -> Origin:
    """Find the files of a checkpoint in the directory that `checkpoints.path` has for it by name.

    root: as `locate` takes it, or a directory with config.json and pytorch.pth. Below llm/models/ a name of one's own
    means the only checkpoint. Raises CheckpointError as `locate`.
    """
    if (root / _LUCAONE_WEIGHTS).is_file():
        return _require(Origin(model, "lucaone", root / "config.json", (root / _LUCAONE_WEIGHTS,)))
    if model.llm_step is not None or not (root / "llm").is_dir():
        return locate(root, model)
    found = sorted((root / "llm").rglob(_LUCAONE_WEIGHTS))
    if len(found) != 1:
        folders = ", ".join(str(path.parent.relative_to(root)) for path in found) or "none"
        raise CheckpointError(
            f"checkpoint {model.name}: expected one checkpoint in {root / 'llm'}, found {folders}. Give the folder of "
            "one of them in checkpoints.path, or name it by its version and step."
        )
    return _require(Origin(model, "lucaone", found[0].with_name("config.json"), (found[0],)))


def _locate_lucaone(root: Path, model: Model) -> Origin:
    layouts = [_NEW_LAYOUT, _OLD_LAYOUT] if model.known and model.known.older_name else [_NEW_LAYOUT]
    folders = [root / layout.format(version=model.llm_version, step=model.llm_step) for layout in layouts]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        steps = sorted({path.name for folder in folders for path in folder.parent.glob("checkpoint-step*")})
        raise CheckpointError(
            f"checkpoint {model.name}: no folder {' or '.join(map(str, folders))}. "
            f"Available for {model.llm_version}: {', '.join(steps) or 'nothing'}. "
            "Set model.llm_version and model.llm_step to an available checkpoint, or correct checkpoints.path."
        )
    return _require(Origin(model, "lucaone", folder / "config.json", (folder / _LUCAONE_WEIGHTS,)))


def _locate_huggingface(folder: Path, model: Model) -> Origin:
    config = folder / "config.json"
    for name in _HUGGINGFACE_WEIGHTS:
        if (folder / name).is_file():
            weights = _parts_of_index(folder / name) if name.endswith(".index.json") else (folder / name,)
            return _require(Origin(model, "huggingface", config, weights, _tokenizer_beside(config)))
    raise CheckpointError(
        f"checkpoint {model.name}: no weights in {folder}. It holds: "
        f"{', '.join(sorted(path.name for path in folder.iterdir())) or 'nothing'}. Expected llm/models/... "
        f"(LucaOne's layout), or config.json with one of {', '.join(_HUGGINGFACE_WEIGHTS)} (Hugging Face)."
    )


def _tokenizer_beside(config: Path) -> Path | None:
    """Return the tokenizer of a network that reads byte pairs, if it is there; None for others.

    The conversion says that it is missing, since the network may be another one.
    """
    try:
        needed = parse_json(config).get("model_type") in _WITH_TOKENIZER
    # The conversion says what is wrong with it.
    except (OSError, ValueError, AttributeError):
        return None
    path = config.with_name("tokenizer.json")
    return path if needed and path.is_file() else None


def _parts_of_index(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(parse_json(index)["weight_map"].values()))
        # Weights in the cache of the Hub are links that lead out of their folder.
        return tuple(_beside(index, name) for name in names)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index} is not an index of weight files: {error!r}. Fetch it again.") from error


def _beside(index: Path, name: str) -> Path:
    path = inside(index.parent, name, links=False)
    if path.parent != index.parent:
        raise ValueError(f"{quoted(name)} is not a file beside it")
    return path


def locate_fetched(folder: Path, model: Model, source: str) -> Origin:
    """Find the files of a fetched checkpoint in its folder. source: `huggingface` or `server`."""
    if source == "huggingface":
        return _locate_huggingface(folder, model)
    return _require(Origin(model, "lucaone", folder / "config.json", (folder / _LUCAONE_WEIGHTS,)))


def _require(origin: Origin) -> Origin:
    missing = [path for path in origin.files if not path.is_file()]
    if missing:
        present = sorted(path.name for path in origin.root.glob("*"))
        raise CheckpointError(
            f"checkpoint {origin.model.name}: no {', '.join(path.name for path in missing)} in {origin.root}. "
            f"It holds: {', '.join(present) or 'nothing'}. Fetch the missing files, or correct checkpoints.path."
        )
    pointers = [path.name for path in origin.files if _is_lfs_pointer(path)]
    if pointers:
        raise CheckpointError(
            f"checkpoint {origin.model.name}: of {', '.join(pointers)} in {origin.root} there is only the pointer that "
            "Git keeps in place of a large file. Run `git lfs pull` there."
        )
    return origin


def _is_lfs_pointer(path: Path) -> bool:
    """Return whether a file is what a clone of a repository has of a large file that was not fetched."""
    with path.open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER


def tensor_names(origin: Origin) -> tuple[str, ...] | None:
    """Return the names of the published tensors, from the header of each file; None for a pickle, which is not opened.

    Raises ValueError or OSError for a file that is damaged.
    """
    names: list[str] = []
    for path in origin.weights:
        if path.suffix != ".safetensors":
            return None
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _LARGEST_HEADER:
                raise ValueError(f"{path} has no header of safetensors")
            names += json.loads(file.read(size))
    return tuple(names)
