"""Which folder holds the converted checkpoint of a name, such as `mini` or `lucaone`?"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from lucaflow.checkpoints.conversion_job import convert_in_this_process, convert_once
from lucaflow.checkpoints.converted_checkpoint import (
    CHECKPOINT_RECORD,
    encoder_source,
    is_converted,
    lacks_head,
    model_of_folder,
    read_record,
)
from lucaflow.checkpoints.model import Model, default_model
from lucaflow.errors import CheckpointError

# The clone that this file is in, and the default of checkpoints.directory below a working directory.
_CLONE = Path(__file__).resolve().parents[3]
_DIRECTORY = Path("resources/checkpoints")


class ConvertedModel(NamedTuple):
    """A model that is converted here. name: with its step; family: of its network; folder: of its files.

    `load_encoder` takes the folder, or the name if one model has it.
    """

    name: str
    family: str
    parameters: int
    folder: Path


def models(directory: str | Path | None = None) -> list[ConvertedModel]:
    """Return the encoders that are converted here, by name.

    directory: `checkpoints.directory` of the workflow; by default resources/checkpoints of the working directory and of
    the clone. `mini` is converted when it is first loaded. Folders whose record cannot be used are left out.

    >>> [model.parameters for model in models("resources/checkpoints") if model.name == "mini-1"]
    [1195232]
    """
    found = []
    for place in _directories() if directory is None else [Path(directory)]:
        for path in sorted(place.glob(f"*/{CHECKPOINT_RECORD}")):
            try:
                record = read_record(path.parent)
            except CheckpointError:
                continue  # `load_encoder` says what is wrong with it
            if "encoder" in record:
                name = model_of_folder(path.parent.name).name
                found.append(ConvertedModel(name, record["family"], record["parameters"], path.parent))
    return sorted(found)


def _directories() -> list[Path]:
    return list(dict.fromkeys([_DIRECTORY.absolute(), _CLONE / _DIRECTORY]))


def folder_of(checkpoint: str | Path) -> Path:
    """Return the folder of a converted checkpoint.

    checkpoint: the folder, or a name: `mini`, `lucaone-36000000`, or one of your own in `checkpoints.path`.

    A name is looked up in resources/checkpoints of the working directory and of the clone. `mini` comes with the clone,
    and is converted there if it has not been. Raises CheckpointError if nothing or several are found, or if `mini`
    cannot be written.
    """
    folder = Path(checkpoint)
    if not isinstance(checkpoint, str) or (folder / CHECKPOINT_RECORD).is_file():
        return folder
    model = default_model(checkpoint) or Model(checkpoint, None)
    if not model.known and not _own_records(checkpoint):
        return folder
    if model.packaged and (_CLONE / model.packaged).is_dir():
        return _converted_packaged(model)
    directories = _directories()
    records = (
        [path for place in directories for path in sorted(place.glob(f"{model.name}-*/{CHECKPOINT_RECORD}"))]
        if model.known
        else _own_records(checkpoint)
    )
    if len(records) != 1:
        found = ", ".join(str(path.parent) for path in records) or "nothing"
        raise CheckpointError(
            f"{checkpoint}: expected one converted checkpoint {model.name} in {' or '.join(map(str, directories))}, "
            f"found {found}. Give its folder, which is in checkpoints.directory; `snakemake fetch` makes it."
        )
    return records[0].parent


def _own_records(name: str) -> list[Path]:
    """Return the records of the conversions of a model with a name of one's own."""
    ours = Model(name, None)
    folders = [path.parent for place in _directories() for path in sorted(place.glob(f"*/{CHECKPOINT_RECORD}"))]
    return [folder / CHECKPOINT_RECORD for folder in folders if model_of_folder(folder.name) == ours]


def _converted_packaged(model: Model) -> Path:
    """Return the folder of a packaged model, converted as the workflow does it in the clone, if it has not been."""
    source = encoder_source(model, {"directory": _CLONE / _DIRECTORY}, _CLONE)
    folder = source.folder
    converted = is_converted(source.located(), folder)
    if converted and not lacks_head(folder, read=True):
        return folder
    try:
        convert_once(source, convert_in_this_process)
    except OSError as error:
        # Without the head of its language model it embeds.
        if converted:
            return folder
        raise CheckpointError(
            f"{folder} cannot be written ({error.strerror}), and holds no converted {model.name} yet. Run `snakemake "
            f"fetch` with model.llm_version: {model.llm_version} in a directory of yours, and give the folder that it "
            f"makes in {_DIRECTORY}."
        ) from error
    return folder
