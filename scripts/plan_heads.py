"""Plan which embeddings the downstream models of a dataset need, and divide the sequences without them into shards."""

import logging
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from lucaflow.checkpoints.converted_checkpoint import converted_folder, read_record
from lucaflow.downstream.required_embeddings import Group, OwnEmbeddings, Plan, missing_embeddings
from lucaflow.embedding.estimate import THREADS, assumed_speed, check_space, estimate, measured_rate
from lucaflow.embedding.preflight import lengths_to_compute, stored_bytes
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.files.receipts import recording_step
from lucaflow.files.writing import write_text
from lucaflow.logs import IN_LOG_ONLY, reporting_to
from lucaflow.records.counts import Counts
from lucaflow.records.sequences import index_sequences, split_sequences

logger = logging.getLogger("lucaflow")

CLONE = Path(snakemake.scriptdir).parent


def main() -> None:
    """Write the shards of each group of sequences, then the plan."""
    sequences, folder = Path(snakemake.input.sequences), Path(snakemake.output.sequences)
    folder.mkdir(parents=True, exist_ok=True)
    lengths = index_sequences(sequences).lengths
    missing, reads_own_shards = missing_embeddings(lengths, snakemake.params.requests, own_embeddings())
    free = shutil.disk_usage(folder).free
    groups = []
    for (model, options), chosen in missing.items():
        record = read_record(converted_folder(model, snakemake.config["checkpoints"], CLONE))
        group = Group(model, options, options.fingerprint(record["network_sha256"]))
        limit = snakemake.config["compute"]["shard_tokens"]
        shards = split_sequences(sequences, folder / group.short, limit, chosen)
        groups.append(replace(group, shards=tuple(shard.name for shard in shards)))
        free -= required_space(groups[-1], lengths[chosen], record, folder, free)
        logger.info("%s: %d sequences in %d shards", model.name, chosen.sum(), len(shards), extra=IN_LOG_ONLY)
    if reads_own_shards:
        logger.info("%s: downstream models read the embeddings of the dataset", snakemake.wildcards.dataset)
    write_text(Path(snakemake.output.plan), Plan(tuple(groups), reads_own_shards).to_json())


def own_embeddings() -> list[OwnEmbeddings]:
    """Return the embeddings that the dataset has anyway, one for each of its models."""
    dataset = snakemake.params.dataset
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    may_read = dataset.is_embedded and not dataset.made_elsewhere
    return [OwnEmbeddings(model, options) for model in dataset.models if may_read]


def required_space(group: Group, lengths: np.ndarray, record: dict, sequences: Path, free: int) -> int:
    """Log what embedding a group takes, and return the bytes that it still needs.

    sequences: the folder of the FASTA files of all groups; free: bytes that the groups before leave. Raises SpaceError
    if the result does not fit on the disk.
    """
    distinct = dict(zip(*(values.tolist() for values in np.unique(lengths, return_counts=True)), strict=True))
    counts = Counts(Counter(accepted=len(lengths)), lengths=distinct)
    # Not parameters of the rule: it would run again with another number of cores.
    device = snakemake.config["compute"]["device"]
    speed = assumed_speed(device, group.options.precision, min(THREADS, os.cpu_count() or 1))
    folder = sequences.parent
    rate = measured_rate(folder.parents[1] / "summary.tsv", group.model.name)
    stored = folder / group.model.name / group.short
    remaining = lengths_to_compute(distinct, group.shards, sequences / group.short, stored)
    expected = estimate(counts, group.options, record, speed, rate, to_compute=remaining)
    if expected.to_compute:
        name = f"{snakemake.wildcards.dataset} with {group.model.name}, for downstream models"
        logger.info("%s: %s", name, expected.describe())
    present = stored_bytes(stored)
    check_space(expected.bytes, present, free, folder.resolve(), "ask for fewer tasks at a time, or divide the dataset")
    return max(0, expected.total_bytes - present)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO), recording_step(snakemake, "sequences"):
        main()
