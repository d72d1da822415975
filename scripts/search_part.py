"""Search for the neighbours of the sequences of one shard."""

import lucaflow.quick_start  # noqa: F401

from functools import partial
from pathlib import Path

import torch

from lucaflow.logs import reporting_to
from lucaflow.neighbours.devices import products_on
from lucaflow.neighbours.search_job import SearchJob, Source, digests_of
from lucaflow.records.sequences import index_sequences, shard_folder


def main() -> None:
    """Search in the dataset itself, or in its reference. Both are read little by little."""
    torch.set_num_threads(snakemake.threads)
    settings, output, name = snakemake.params.settings, Path(snakemake.output[0]), snakemake.wildcards.shard
    own, *others = map(Path, snakemake.input.embeddings)
    fasta = shard_folder(Path(snakemake.input.shards)) / f"{name}.fasta"
    with (
        Source.opened(own, settings["vector"]) as source,
        Source.opened(others[0] if others else own, settings["vector"]) as reference,
    ):
        load = partial(products_on, snakemake.config["compute"]["device"])
        job = SearchJob(output.parent, name, reference, snakemake.params.k, load)
        job.run(source, {name: digests_of(index_sequences(fasta).digests)})


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
