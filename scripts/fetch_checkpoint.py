"""Fetch the published files of a checkpoint."""

import logging
from pathlib import Path

from lucaflow.checkpoints.fetching import fetch
from lucaflow.logs import reporting_to

if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO):
        fetch(
            snakemake.params.places,
            Path(snakemake.output[0]).parent,
            snakemake.config["checkpoints"]["server"],
            snakemake.config["checkpoints"]["revision"],
        )
