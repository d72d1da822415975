"""Embed the sequences of one shard."""

import lucaflow.quick_start  # noqa: F401

from pathlib import Path

import torch

from lucaflow.checkpoints.converted_checkpoint import converted_folder, read_record
from lucaflow.checkpoints.model import Model
from lucaflow.embedding.estimate import check_checkpoint
from lucaflow.embedding.preflight import require_room
from lucaflow.embedding.shard_job import embed_shard
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to
from lucaflow.records.counts import Counts
from lucaflow.records.sequences import shard_folder
from lucaflow.report.costs import computed_beside

CLONE = Path(snakemake.scriptdir).parent


def main() -> None:
    """Find the checkpoint, check that it fits the options and that the results fit on the disk, and embed the shard.

    The checkpoint is not an input of the rule, so that a checkpoint in another folder is no reason to embed again.
    """
    torch.set_num_threads(snakemake.threads)
    config, output = snakemake.config, Path(snakemake.output[0])
    checkpoint = converted_folder(Model(*snakemake.params.model), config["checkpoints"], CLONE)
    options = EmbeddingOptions.from_config(config["embedding"])
    record = read_record(checkpoint)
    check_checkpoint(options, record)
    require_room(Counts.read(Path(snakemake.input.counts)), options, record, config["export"], output.parent)
    computed = embed_shard(
        shard_folder(Path(snakemake.input.shards)) / f"{snakemake.wildcards.shard}.fasta",
        output,
        checkpoint,
        options,
        config["compute"]["device"],
        config["compute"]["tokens_per_batch"],
    )
    # Snakemake's benchmark gives the time of the whole job, even if few sequences were left to compute.
    write_json(computed_beside(Path(snakemake.log[0])), computed._asdict())


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
