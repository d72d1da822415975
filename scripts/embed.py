"""Embed the sequences of one shard."""

from pathlib import Path

import torch

from lucaflow.checkpoints.converted_checkpoint import converted_folder
from lucaflow.checkpoints.model import Model
from lucaflow.embedding.shard_job import embed_shard
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to
from lucaflow.report.summary import computed_beside

CLONE = Path(snakemake.scriptdir).parent


def main() -> None:
    """Find the checkpoint and embed the shard.

    The checkpoint is not an input of the rule, so that a checkpoint in another folder is no reason to embed again.
    """
    torch.set_num_threads(snakemake.threads)
    compute = snakemake.config["compute"]
    computed = embed_shard(
        Path(snakemake.input[0]) / f"{snakemake.wildcards.shard}.fasta",
        Path(snakemake.output[0]),
        converted_folder(Model(*snakemake.params.model), snakemake.config["checkpoints"], CLONE),
        EmbeddingOptions.from_config(snakemake.config["embedding"]),
        compute["device"],
        compute["tokens_per_batch"],
    )
    # Snakemake's benchmark gives the time of the whole job, even if few sequences were left to compute.
    write_json(computed_beside(Path(snakemake.log[0])), computed._asdict(), with_checksum=False)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
