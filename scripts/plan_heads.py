"""Find out which embeddings the trained models of a dataset need, and place the sequences that lack them in shards."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from lucaflow.checkpoints import converted_folder, read_record
from lucaflow.files import write_text
from lucaflow.logs import reporting_to
from lucaflow.normalisation import Counts
from lucaflow.preflight import assumed_speed, check_space, estimate, measured_rate
from lucaflow.sequences import index_sequences, split_sequences
from lucaflow.settings import EmbeddingOptions
from lucaflow.trained import read_head
from lucaflow.wanted import Group, Own, Plan, Wanted, missing_embeddings

logger = logging.getLogger("lucaflow")

CLONE = Path(snakemake.scriptdir).parent


def main() -> None:
    """Write the shards of each group of sequences, and the plan last."""
    sequences, folder = Path(snakemake.input.sequences), Path(snakemake.output.sequences)
    folder.mkdir(parents=True, exist_ok=True)
    lengths = index_sequences(sequences).lengths
    readings = [read_head(Path(record).parent).reading for record in snakemake.input.heads]
    truncation = snakemake.config["heads"]["llm_truncation_seq_length"]
    missing, own = missing_embeddings(
        lengths, [Wanted.by(reading, truncation) for reading in readings], own_embeddings()
    )
    groups = []
    for (model, options), chosen in missing.items():
        record = read_record(converted_folder(model, snakemake.config["checkpoints"], CLONE))
        group = Group(model, options, options.fingerprint(record["model"]["sha256"]))
        look_ahead(group, lengths[chosen], record, folder.parent)
        limit = snakemake.config["compute"]["shard_tokens"]
        shards = split_sequences(sequences, folder / group.short, limit, chosen)
        groups.append(replace(group, shards=tuple(shards["shard"])))
        logger.info("%s: %d sequences in %d shards", model.name, chosen.sum(), len(shards))
    if own:
        logger.info("the dataset's own embeddings serve as well")
    write_text(Path(snakemake.output.plan), Plan(tuple(groups), own).to_json())


def own_embeddings() -> Own | None:
    """Return the embeddings that the dataset has anyway: pairs have none."""
    dataset = snakemake.params.dataset
    return None if dataset.is_pairs else Own(dataset.model, EmbeddingOptions.from_config(snakemake.config["embedding"]))


def look_ahead(group: Group, lengths: np.ndarray, record: dict, folder: Path) -> None:
    """Say what embedding a group takes. Raises SpaceError where the disk cannot hold the result."""
    counts = Counts(
        lengths=dict(zip(*(values.tolist() for values in np.unique(lengths, return_counts=True)), strict=True))
    )
    device, threads = snakemake.config["compute"]["device"], snakemake.params.threads
    expected = estimate(
        counts, group.options, record, assumed_speed(device, group.options.precision, threads),
        measured_rate(Path("results/summary.tsv"), group.model.name),
    )  # fmt: skip
    logger.info("%s, for trained models: %s", snakemake.wildcards.dataset, expected.describe())
    present = sum(path.stat().st_size for path in (folder / group.model.name / group.short).glob("*.h5"))
    check_space(expected, present, shutil.disk_usage(folder).free, folder.resolve())


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], shown=logging.INFO):
        main()
