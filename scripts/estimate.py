"""Estimate the space and time for embedding a dataset, and stop if the results do not fit on the disk."""

import logging
import shutil
from pathlib import Path

from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.embedding.estimate import assumed_speed, check_checkpoint, check_space, estimate, measured_rate
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.files.json_files import DIGEST_LENGTH, read_json
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to
from lucaflow.records.counts import Counts

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Estimate, log the estimate, and compare it with the free space."""
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    fingerprint = read_json(Path(snakemake.input.settings))["fingerprint"]
    output = Path(snakemake.output[0])
    checkpoint = read_record(Path(snakemake.input.checkpoint).parent)
    check_checkpoint(options, checkpoint)
    expected = estimate(
        Counts.read(Path(snakemake.input.counts)),
        options,
        checkpoint,
        assumed_speed(snakemake.params.device, options.precision, snakemake.params.threads),
        measured_rate(output.parents[2] / "summary.tsv", snakemake.wildcards.model),
        snakemake.config["export"],
    )
    logger.info("%s: %s", snakemake.wildcards.dataset, expected.describe())
    # Shards of an earlier run are counted as present. Unused ones are removed only after this run, so the space needed
    # may be larger than checked here.
    shards = output.parent / "shards" / fingerprint[:DIGEST_LENGTH]
    present = sum(path.stat().st_size for path in shards.glob("*.h5"))
    free = shutil.disk_usage(output.parent).free
    check_space(expected, present, free, output.parent.resolve())
    report = {**expected.to_dict(), "present_bytes": present, "free_bytes": free}
    write_json(output, report)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO):
        main()
