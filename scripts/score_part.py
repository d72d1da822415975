"""Compute a part of the passes that the scores of a dataset need."""

import lucaflow.quick_start  # noqa: F401

from pathlib import Path

import torch

from lucaflow.checkpoints.converted_checkpoint import converted_folder
from lucaflow.config.scores import ScoreOptions
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to
from lucaflow.scores.job import compute_passes, variants_of
from lucaflow.scores.pass_files import SUFFIX
from lucaflow.scores.passes_job import Part
from lucaflow.scores.sequence_files import ScoredRecords

CLONE = Path(snakemake.scriptdir).parent


def main() -> None:
    """Compute this job's share. Its results are in a file beside the output, which only says that they are there."""
    torch.set_num_threads(snakemake.threads)
    dataset, config, output = snakemake.params.dataset, snakemake.config, Path(snakemake.output[0])
    checkpoint = converted_folder(dataset.model, config["checkpoints"], CLONE)
    records, sequences = Path(snakemake.input.records), Path(snakemake.input.sequences)
    scores = ScoreOptions.from_config(config["scores"])
    variants = variants_of(dataset, scores, records, sequences)
    found = ScoredRecords(records, sequences, dataset.seq_type)
    part = Part(int(snakemake.wildcards.part) - 1, int(snakemake.wildcards.parts))
    file = output.with_name(f"{part.number + 1}-of-{part.count}{SUFFIX}")
    with compute_passes(dataset, found, variants, scores, checkpoint, file, config, part):
        write_json(output, {"part": part.number + 1, "parts": part.count})


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
