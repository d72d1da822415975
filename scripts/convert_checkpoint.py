"""Convert a published checkpoint to safetensors once."""

import logging
from pathlib import Path

from lucaflow.checkpoints.checksums import remove_damaged
from lucaflow.checkpoints.conversion import convert_in_subprocess, is_converted
from lucaflow.checkpoints.converted_checkpoint import (
    CHECKPOINT_RECORD,
    MODEL_NAME,
    holds_recorded_weights,
    is_fetched,
    published_files,
    published_folder,
    read_record,
)
from lucaflow.checkpoints.fetched_record import LOCK_NAME
from lucaflow.checkpoints.layouts import Origin
from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of
from lucaflow.files.locks import locked
from lucaflow.files.receipts import receipt_path, write_receipt
from lucaflow.files.space import explaining_a_full_disk
from lucaflow.logs import reporting_to
from lucaflow.versions import CHECKPOINT_CONVERSION_VERSION

logger = logging.getLogger("lucaflow")


def main(folder: Path) -> None:
    """Check the published files against their checksums, if there are any, and convert them into `folder`."""
    settings, clone = snakemake.config["checkpoints"], Path(snakemake.scriptdir).parent
    model = Model(snakemake.params.llm_version, snakemake.params.llm_step)
    if not is_fetched(model, settings):
        convert_once(model, published_files(model, settings, clone), folder)
        return
    # The name of the folder tells the source and its revision.
    if holds_recorded_weights(folder, CHECKPOINT_RECORD, CHECKPOINT_CONVERSION_VERSION):
        logger.info("%s was converted by an earlier run", model.name)
        return
    published = published_folder(model, settings)
    with locked(published / LOCK_NAME, f"fetching {model.name}"):
        remove_damaged(published)
        try:
            convert_once(model, published_files(model, settings, clone), folder)
        except CheckpointError as error:
            hint = f"If the fetched files are damaged, delete {published} and run `snakemake fetch`."
            raise CheckpointError(f"{error} {hint}") from error


def convert_once(model: Model, origin: Origin, folder: Path) -> None:
    """Convert the files, unless another run has converted them."""
    for path in origin.files:
        expected = snakemake.params.digests.get(path.name)
        if expected and (found := sha256_of(path)) != expected:
            raise CheckpointError(f"{path} has SHA-256 {found}, expected {expected}. Fetch it again.")
    with locked(folder / ".lock", f"converting {model.name}"), explaining_a_full_disk(folder, "Nothing was converted"):
        if is_converted(origin, folder):
            logger.info("%s was converted by another run", model.name)
            return
        receipt_path(folder, "convert").unlink(missing_ok=True)
        record = convert_in_subprocess(origin, model, folder)
    logger.info("converted %s: %d parameters, sha256 %s", model.name, record["parameters"], record["network_sha256"])


if __name__ == "__main__":
    receipt = Path(snakemake.output.receipt)
    converted = receipt.parents[1]
    with reporting_to(snakemake.log[0]):
        main(converted)
        weights = {converted / MODEL_NAME: read_record(converted)["model"]}
        outputs = [converted / CHECKPOINT_RECORD, *weights]
        write_receipt(receipt, snakemake.params.settings, outputs, known=weights)
