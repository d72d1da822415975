"""Write the files that LucaOneApp would have written."""

import logging
from pathlib import Path

from lucaflow.exports import export_lucaone
from lucaflow.logs import reporting_to

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Export every record."""
    count = export_lucaone(
        Path(snakemake.input.embeddings),
        Path(snakemake.input.records),
        snakemake.config["save_type"],
        Path(snakemake.output[0]),
    )
    logger.info("%d files", count)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
