"""Embed the sequences of one shard with the options that downstream models need."""

import lucaflow.quick_start  # noqa: F401

from pathlib import Path

import torch

from lucaflow.checkpoints.converted_checkpoint import converted_folder
from lucaflow.downstream.required_embeddings import Plan
from lucaflow.embedding.shard_job import embed_shard
from lucaflow.logs import reporting_to

CLONE = Path(snakemake.scriptdir).parent


def main() -> None:
    """Read the options from the plan and embed the shard."""
    torch.set_num_threads(snakemake.threads)
    compute, wildcards = snakemake.config["compute"], snakemake.wildcards
    group = Plan.read(Path(snakemake.input.plan)).group_of(wildcards.llm, wildcards.fingerprint)
    embed_shard(
        Path(snakemake.input.sequences) / group.short / f"{wildcards.shard}.fasta",
        Path(snakemake.output[0]),
        converted_folder(group.model, snakemake.config["checkpoints"], CLONE),
        group.options,
        compute["device"],
        compute["tokens_per_batch"],
    )


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
