"""Assemble the shards of a dataset into embeddings.h5."""

from pathlib import Path

from lucaflow.engine.options import EmbeddingOptions
from lucaflow.files.json_files import read_json
from lucaflow.logs import reporting_to
from lucaflow.store.assembly import assemble, read_accepted
from lucaflow.store.format import ORIGIN_ATTRIBUTES


def main() -> None:
    """Assemble the dataset that the settings file describes."""
    settings = read_json(Path(snakemake.input.settings))
    assemble(
        Path(snakemake.output[0]),
        {name: settings[name] for name in ORIGIN_ATTRIBUTES},
        EmbeddingOptions.from_config(snakemake.config["embedding"]),
        read_accepted(Path(snakemake.input.records)),
        [Path(shard) for shard in snakemake.input.shards],
    )


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
