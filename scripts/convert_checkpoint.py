"""Convert a checkpoint to safetensors, once."""

import logging
from pathlib import Path

from lucaflow.checkpoints import Model, locate, read_registry
from lucaflow.conversion import convert
from lucaflow.errors import CheckpointError
from lucaflow.logs import reporting_to

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Find the checkpoint, convert it, and compare its digest with the published one if there is one."""
    model = Model(snakemake.params.llm_version, snakemake.params.llm_step)
    folder = Path(snakemake.output.record).parent
    record = convert(locate(Path(snakemake.params.root), model), model, folder)
    registry = read_registry(Path(snakemake.params.registry))
    known = registry[
        (registry["version"] == model.llm_version)
        & (registry["step"] == str(model.llm_step))
        & (registry["source"] == snakemake.params.source)
        & (registry["sha256"] != "")
    ]
    for row in known.itertuples():
        found = next(entry["sha256"] for name, entry in record["origin"].items() if name.endswith(row.files))
        if found != row.sha256:
            raise CheckpointError(f"{row.files} of {model.name} has digest {found}, expected {row.sha256}.")
    logger.info("converted %s: %d parameters, sha256 %s", model.name, record["parameters"], record["model"]["sha256"])


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
