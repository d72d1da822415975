"""Convert a checkpoint to safetensors, once."""

import logging
import os
from pathlib import Path

from lucaflow.checkpoints import Model, is_fetched, published_files, published_folder
from lucaflow.conversion import convert_apart, is_converted
from lucaflow.errors import CheckpointError
from lucaflow.files import locked, require_space, sha256_of
from lucaflow.logs import reporting_to
from lucaflow.published import discard_damaged

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Compare the published files with their digests, where there are any, and convert them."""
    settings, clone = snakemake.config["checkpoints"], Path(snakemake.scriptdir).parent
    model = Model(snakemake.params.llm_version, snakemake.params.llm_step)
    folder = Path(snakemake.output.record).parent
    if is_fetched(model, settings):
        discard_damaged(published_folder(model, settings))
    origin = published_files(model, settings, clone)
    for path in origin.files:
        expected = snakemake.params.digests.get(path.name)
        if expected and (found := sha256_of(path)) != expected:
            raise CheckpointError(f"{path} has digest {found}, expected {expected}. Fetch it again.")
    with locked(folder / ".lock", f"converting {model.name}"):
        if is_converted(origin, folder):
            logger.info("%s was converted by another run", model.name)
            for path in snakemake.output:
                os.utime(path)
            return
        require_space(folder, sum(path.stat().st_size for path in origin.weights), f"converting {model.name}")
        record = convert_apart(origin, model, folder)
    logger.info("converted %s: %d parameters, sha256 %s", model.name, record["parameters"], record["model"]["sha256"])


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
