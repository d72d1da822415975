"""Convert a checkpoint to safetensors, once."""

import logging
from pathlib import Path

from lucaflow.checkpoints import Model, locate, published_digest
from lucaflow.conversion import convert
from lucaflow.errors import CheckpointError
from lucaflow.files import sha256_of
from lucaflow.logs import reporting_to

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Find the checkpoint, compare its digest with the published one if there is one, and convert it."""
    model = Model(snakemake.params.llm_version, snakemake.params.llm_step)
    folder = Path(snakemake.output.record).parent
    origin = locate(Path(snakemake.params.root), model)
    published = published_digest(Path(snakemake.params.registry), model, snakemake.params.source)
    if published:
        name, expected = published
        found = sha256_of(next(path for path in origin.weights if path.name == name))
        if found != expected:
            raise CheckpointError(f"{name} of {model.name} has digest {found}, expected {expected}. Fetch it again.")
    record = convert(origin, model, folder)
    logger.info("converted %s: %d parameters, sha256 %s", model.name, record["parameters"], record["model"]["sha256"])


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
