"""Compare precisions on a sample of a dataset's sequences; write a table and a figure."""

import lucaflow.quick_start  # noqa: F401

import logging
from pathlib import Path

import torch

from lucaflow.checkpoints.model import Model
from lucaflow.embedding.comparisons import ComparisonSetup, choose_sample, compare_precisions, first_ids, read_sample
from lucaflow.engine.devices import device_name
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.files.receipts import recording_step
from lucaflow.files.writing import write_table
from lucaflow.logs import reporting_to
from lucaflow.records.sequences import index_sequences
from lucaflow.report.comparisons import draw_precisions

logger = logging.getLogger("lucaflow")

CLONE = Path(snakemake.scriptdir).parent


def main() -> None:
    """Embed the sample in each precision that this device supports."""
    torch.set_num_threads(snakemake.threads)
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    model = Model(*snakemake.params.model)
    setup = ComparisonSetup.from_config(snakemake.config, model, CLONE)
    path = Path(snakemake.input.sequences)
    index = index_sequences(path)
    sample = read_sample(path, index, choose_sample(index.lengths))
    if not sample:
        logger.warning("%s: all sequences are too long to compare precisions", snakemake.wildcards.dataset)
    logger.info("%d of %d sequences on %s", len(sample), len(index.lengths), device_name(setup.device))
    table = compare_precisions(setup, options, sample)
    ids = first_ids(Path(snakemake.input.records), [sequence.digest for sequence in sample])
    table.insert(1, "id", table.pop("digest").map(ids))
    table.insert(1, "device", device_name(setup.device))
    write_table(Path(snakemake.output.table), table)
    details = f"{model.name} on {device_name(setup.device)} · {len(sample)} sequences"
    draw_precisions(table, snakemake.wildcards.dataset, details, Path(snakemake.output.figure))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "sequences", "records"):
        main()
