"""Read a dataset, decide the outcome of every record, and write each distinct sequence once."""

import logging
from pathlib import Path

from lucaflow.config.datasets import requirements_of
from lucaflow.errors import InputError
from lucaflow.files.checksums import checksum_file_of
from lucaflow.logs import reporting_to
from lucaflow.records.outcomes import Policies
from lucaflow.records.readers import read_records
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Normalise the dataset. If it is refused, name the older results that still exist."""
    dataset = snakemake.params.dataset
    output = snakemake.output
    problems = Path(output.records).with_name("problems.tsv")
    try:
        counts = normalise_dataset(
            read_records(dataset.path, dataset.columns),
            dataset.path,
            dataset.seq_type,
            Policies(**snakemake.config["input"]),
            NormalisedFiles(
                Path(output.records), Path(output.sequences), Path(output.labels), Path(output.counts), problems
            ),
            requirements_of(snakemake.config, dataset),
        )
    except InputError as error:
        # Snakemake restores the older files with a new modification time. Without the settings file, it knows that they
        # do not belong to the present settings.
        for path in (Path(snakemake.input.settings), checksum_file_of(Path(snakemake.input.settings))):
            path.unlink(missing_ok=True)
        older = [path for path in problems.parent.glob("*/embeddings.h5") if path.is_file()]
        note = f"\nAn older result is still there: {', '.join(map(str, older))}." if older else ""
        raise InputError(f"dataset {dataset.name}: {error}{note}") from error
    outcomes = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.status.items()))
    changed = f"{counted(counts.changed, 'character')} changed in {counted(counts.records_changed, 'record')}"
    changes = changed if counts.changed else ""
    logger.info("%s: %s", dataset.name, "; ".join(filter(None, [outcomes, changes])))
    logger.info("%s: %s distinct sequences, %s residues", dataset.name, f"{counts.distinct:,}", f"{counts.residues:,}")


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1: `1,200 records`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO):
        main()
