"""Convert a downstream model to safetensors, once."""

import logging
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.checksums import remove_damaged
from lucaflow.checkpoints.converted_checkpoint import (
    CHECKPOINT_RECORD,
    MODEL_NAME,
    converted_folder,
    holds_recorded_weights,
    is_fetched,
    published_files,
)
from lucaflow.checkpoints.fetched_record import LOCK_NAME
from lucaflow.checkpoints.registry import read_checkpoints
from lucaflow.config.datasets import read_datasets
from lucaflow.config.resolve import refuse_missing_checkpoint, stated_models
from lucaflow.downstream.conversion import convert_head
from lucaflow.downstream.models import (
    HEAD_RECORD,
    HeadOrigin,
    TrainedHead,
    is_embedded_for,
    locate_head,
    read_head,
    refuse_other_model,
)
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of
from lucaflow.files.locks import locked
from lucaflow.files.receipts import receipt_path, write_receipt
from lucaflow.files.space import explaining_a_full_disk
from lucaflow.logs import reporting_to
from lucaflow.schemas import read_yaml
from lucaflow.versions import HEAD_CONVERSION_VERSION

logger = logging.getLogger("lucaflow")

CLONE = Path(snakemake.scriptdir).parent


def main(folder: Path) -> None:
    """Check the SHA-256 of packaged files, convert them, and check that the checkpoint of the model is available."""
    head = snakemake.params.head
    for file in head.place.files if head.source == "packaged" else ():
        if (found := sha256_of(head.root / file.name)) != file.sha256:
            raise CheckpointError(f"{head.root / file.name} has SHA-256 {found}, expected {file.sha256}. Clone again.")
    trained = convert_fetched(head, folder) if head.is_fetched else convert(head, folder)
    refuse_without_checkpoint(trained)
    logger.info("converted %s, trained on %s: %s", head.task.name, trained.reading.model.name, trained.structure)


def convert_fetched(head: HeadOrigin, folder: Path) -> TrainedHead:
    """Check fetched files against their checksums, and convert them, unless an earlier run has converted them."""
    if holds_recorded_weights(folder, HEAD_RECORD, HEAD_CONVERSION_VERSION):
        return read_head(folder)
    with locked(head.root / LOCK_NAME, f"fetching {head.task.name}"):
        remove_damaged(head.root)
        try:
            return convert(head, folder)
        except CheckpointError as error:
            hint = f"If the fetched files are damaged, delete {head.root} and run `snakemake fetch`."
            raise CheckpointError(f"{error} {hint}") from error


def convert(head: HeadOrigin, folder: Path) -> TrainedHead:
    with (
        locked(folder / ".lock", f"converting {head.task.name}"),
        explaining_a_full_disk(folder, "Nothing was converted"),
    ):
        receipt_path(folder, "convert").unlink(missing_ok=True)
        return convert_head(locate_head(head.root, head.task), folder)


def refuse_without_checkpoint(head: TrainedHead) -> None:
    """Raise ConfigError or CheckpointError if the checkpoint that the model was trained on is not available.

    Where all embeddings for it were made elsewhere it is not needed; an error is raised if these are by another model.
    """
    config, model = snakemake.config, head.reading.model
    datasets = read_datasets(Path(config["datasets"]), schema("datasets"), config)
    refuse_other_model(snakemake.params.name, model, datasets.values())
    if not is_embedded_for(snakemake.params.name, datasets.values()):
        return
    registry = read_checkpoints(CLONE / "resources/checkpoints.tsv", schema("checkpoints"))
    refuse_missing_checkpoint(head.task.name, model, config, stated_models(config, datasets.values()), registry)
    if not (converted_folder(model, config["checkpoints"], CLONE) / CHECKPOINT_RECORD).is_file():
        try:
            if not is_fetched(model, config["checkpoints"]):
                published_files(model, config["checkpoints"], CLONE)
        except CheckpointError as error:
            raise CheckpointError(
                f"task {head.task.name} was trained on embeddings by {model.name}. {error}"
            ) from error


def schema(name: str) -> Any:
    return read_yaml(CLONE / f"config/schemas/{name}.schema.yaml")


if __name__ == "__main__":
    receipt = Path(snakemake.output.receipt)
    converted = receipt.parents[1]
    with reporting_to(snakemake.log[0]):
        main(converted)
        write_receipt(receipt, snakemake.params.settings, [converted / HEAD_RECORD, converted / MODEL_NAME])
