"""Divide the distinct sequences of a dataset into shards, one for each embedding job."""

import logging
from pathlib import Path

from lucaflow.logs import reporting_to
from lucaflow.records.sequences import split_sequences, write_shard_table

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Write the shards, then the table that lists them."""
    shards = split_sequences(
        Path(snakemake.input.sequences),
        Path(snakemake.output.shards),
        snakemake.config["compute"]["shard_tokens"],
    )
    write_shard_table(Path(snakemake.output.table), shards)
    logger.info("%d shards, %d tokens", len(shards), sum(shard.tokens for shard in shards))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
