"""Compare long sequences embedded in windows with one pass over each; write a table and a figure."""

import lucaflow.quick_start  # noqa: F401

import logging
from pathlib import Path

import torch

from lucaflow.checkpoints.model import Model
from lucaflow.embedding.comparisons import (
    MOST_RESIDUES,
    ComparisonSetup,
    choose_sample,
    compare_stitchings,
    read_sample,
    summarise_costs,
)
from lucaflow.engine.devices import device_name
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import InputError
from lucaflow.files.receipts import recording_step
from lucaflow.files.writing import write_table
from lucaflow.logs import reporting_to
from lucaflow.records.sequences import index_sequences
from lucaflow.report.comparisons import draw_stitchings

logger = logging.getLogger("lucaflow")

CLONE = Path(snakemake.scriptdir).parent


def main() -> None:
    """Embed sequences of at least two windows, in windows and in one pass."""
    torch.set_num_threads(snakemake.threads)
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    size = options.embedding_fixed_len_a_time
    model = Model(*snakemake.params.model)
    setup = ComparisonSetup.from_config(snakemake.config, model, CLONE)
    path = Path(snakemake.input.sequences)
    index = index_sequences(path)
    rows = choose_sample(index.lengths, shortest=2 * size)
    if not len(rows):
        raise InputError(
            f"{snakemake.wildcards.dataset}: no sequence has {2 * size} (two windows) to {MOST_RESIDUES} residues; "
            f"the longest has {index.lengths.max()}. Set embedding.embedding_fixed_len_a_time to at most half of a "
            "sequence's length, or remove the dataset (--keep-going compares the others)."
        )
    logger.info("%d sequences on %s", len(rows), device_name(setup.device))
    compared = compare_stitchings(setup, options, read_sample(path, index, rows))
    summary = summarise_costs(compared)
    summary.insert(1, "window", size)
    summary.insert(2, "sequences", len(rows))
    write_table(Path(snakemake.output.table), summary)
    details = f"{model.name} · windows of {size} residues · {len(rows)} sequences"
    draw_stitchings(compared, snakemake.wildcards.dataset, details, Path(snakemake.output.figure))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "sequences"):
        main()
