"""Which folder holds the converted checkpoint of a name, such as `mini` or `lucaone`?"""

from __future__ import annotations

from pathlib import Path

from lucaflow.checkpoints.conversion_job import convert_in_this_process, convert_once
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, encoder_source, is_converted
from lucaflow.checkpoints.model import Model, default_model
from lucaflow.errors import CheckpointError

# The clone that this file is in, and the default of checkpoints.directory below a working directory.
_CLONE = Path(__file__).resolve().parents[3]
_DIRECTORY = Path("resources/checkpoints")


def folder_of(checkpoint: str | Path) -> Path:
    """Return the folder of a converted checkpoint. checkpoint: the folder, or a name: `mini`, `lucaone-36000000`.

    A name is looked up in resources/checkpoints of the working directory and of the clone. `mini` comes with the clone,
    and is converted there if it has not been. Raises CheckpointError if nothing or several are found, or if `mini`
    cannot be written.
    """
    folder = Path(checkpoint)
    model = default_model(checkpoint) if isinstance(checkpoint, str) else None
    if model is None or (folder / CHECKPOINT_RECORD).is_file():
        return folder
    if model.packaged and (_CLONE / model.packaged).is_dir():
        return _converted_packaged(model)
    directories = dict.fromkeys([_DIRECTORY.absolute(), _CLONE / _DIRECTORY])
    records = [path for place in directories for path in sorted(place.glob(f"{model.name}-*/{CHECKPOINT_RECORD}"))]
    if len(records) != 1:
        found = ", ".join(str(path.parent) for path in records) or "nothing"
        raise CheckpointError(
            f"{checkpoint}: expected one converted checkpoint {model.name} in {' or '.join(map(str, directories))}, "
            f"found {found}. Give its folder, which is in checkpoints.directory; `snakemake fetch` makes it."
        )
    return records[0].parent


def _converted_packaged(model: Model) -> Path:
    """Return the folder of a packaged model, converted as the workflow does it in the clone, if it has not been."""
    source = encoder_source(model, {"directory": _CLONE / _DIRECTORY}, _CLONE)
    folder = source.folder
    if is_converted(source.located(), folder):
        return folder
    try:
        convert_once(source, convert_in_this_process)
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be written ({error.strerror}), and holds no converted {model.name} yet. Run `snakemake "
            f"fetch` with model.llm_version: {model.llm_version} in a directory of yours, and give the folder that it "
            f"makes in {_DIRECTORY}."
        ) from error
    return folder
