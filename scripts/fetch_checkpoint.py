"""Have the files of a checkpoint here, as they were published."""

import logging
from pathlib import Path

from lucaflow.checkpoints.fetching import fetch
from lucaflow.logs import reporting_to

if __name__ == "__main__":
    with reporting_to(snakemake.log[0], shown=logging.INFO):
        fetch(
            snakemake.params.places,
            Path(snakemake.output[0]).parent,
            snakemake.config["checkpoints"]["server"],
            snakemake.config["checkpoints"]["revision"],
        )
