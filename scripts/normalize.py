"""Read a dataset, decide the outcome of every record, write each distinct sequence once, and divide them."""

import logging
from pathlib import Path

from lucaflow.config.datasets import requirements_of
from lucaflow.errors import InputError
from lucaflow.files.receipts import recording
from lucaflow.logs import reporting_to
from lucaflow.records.outcomes import Policies
from lucaflow.records.readers import read_records
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset
from lucaflow.records.sequences import shard_folder, split_sequences, write_shard_table

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Normalise the dataset. If it is refused, name the older results that still exist."""
    dataset = snakemake.params.dataset
    output = snakemake.output
    problems = Path(output.records).with_name("problems.tsv")
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        logger.warning("%s: %s", dataset.name, text)

    try:
        counts = normalise_dataset(
            read_records(dataset.path, dataset.columns, note),
            dataset.path,
            dataset.seq_type,
            Policies(**snakemake.config["input"]),
            NormalisedFiles(
                Path(output.records), Path(output.sequences), Path(output.labels), Path(output.counts), problems
            ),
            requirements_of(snakemake.config, dataset),
            notes,
        )
    except InputError as error:
        older = [path for path in problems.parent.glob("*/embeddings.h5") if path.is_file()]
        note = f"\nAn older result is still there: {', '.join(map(str, older))}." if older else ""
        raise InputError(f"dataset {dataset.name}: {error}{note}") from error
    outcomes = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.status.items()))
    changed = f"{counted(counts.changed, 'character')} changed in {counted(counts.records_changed, 'record')}"
    changes = changed if counts.changed else ""
    logger.info("%s: %s", dataset.name, "; ".join(filter(None, [outcomes, changes])))
    logger.info("%s: %s distinct sequences, %s residues", dataset.name, f"{counts.distinct:,}", f"{counts.residues:,}")
    divide()


def divide() -> None:
    """Divide the sequences into shards, one for each embedding job. Pairs have none: only predictions embed them."""
    table = Path(snakemake.output.shards)
    if snakemake.params.dataset.is_pairs:
        write_shard_table(table, [])
        return
    limit = snakemake.config["compute"]["shard_tokens"]
    shards = split_sequences(Path(snakemake.output.sequences), shard_folder(table), limit)
    write_shard_table(table, shards)
    logger.info("%d shards, %d tokens", len(shards), sum(shard.tokens for shard in shards))


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1: `1,200 records`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


if __name__ == "__main__":
    folders = [] if snakemake.params.dataset.is_pairs else [shard_folder(Path(snakemake.output.shards))]
    with (
        reporting_to(snakemake.log[0], terminal_level=logging.INFO),
        recording(snakemake.output.receipt, snakemake.params.settings, [*snakemake.output, *folders]),
    ):
        main()
