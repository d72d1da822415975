"""Read a dataset, decide the outcome of every record, write each distinct sequence once, and divide them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lucaflow.config.datasets import Dataset, requirements_of
from lucaflow.errors import InputError, quoted, shown
from lucaflow.files.receipts import recording
from lucaflow.logs import reporting_to
from lucaflow.records.counts import Counts, counted
from lucaflow.records.further_columns import FoundColumns
from lucaflow.records.metadata import read_metadata
from lucaflow.records.outcomes import Policies
from lucaflow.records.readers import is_fasta, read_records
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset
from lucaflow.records.sequences import shard_folder, split_sequences, write_shard_table

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Normalise the dataset. If it is refused, name the older results that still exist."""
    dataset = snakemake.params.dataset
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        logger.warning("%s: %s", dataset.name, text)

    try:
        counts = normalise(dataset, note, notes)
    except InputError as error:
        older = [path for path in FILES.records.parent.glob("*/embeddings.h5") if path.is_file()]
        note = f"\nAn older result is still there: {', '.join(map(str, older))}." if older else ""
        raise InputError(f"dataset {dataset.name}: {error}{note}") from error
    logger.info("%s: %s", dataset.name, described(counts))
    if dataset.is_scored:
        from lucaflow.scores.preflight import refuse_many_passes  # loads numpy and more, for scores alone

        refuse_many_passes(dataset, counts.lengths, snakemake.config)
    divide()


def described(counts: Counts) -> str:
    """Return what became of the records, in words."""
    outcomes = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.status.items()))
    found = f"{counted(counts.distinct, 'distinct sequence')}, {counted(counts.residues, 'residue')}"
    text = f"{counted(counts.status.total(), 'record')} read, {outcomes}; {found}"
    if not counts.changed:
        return text
    changed = f"{counted(counts.changed, 'character')} of {counted(counts.records_changed, 'record')}"
    kinds = "lower case, a stop at the end, or U in genes"
    return f"{text}\n{changed} changed, such as {kinds} (column `changed` of {FILES.records})"


def normalise(dataset: Dataset, note: Callable[[str], None], notes: Sequence[str]) -> Counts:
    """Write the records, the distinct sequences, and labels and columns with the metadata if there is any."""
    columns, metadata, found = dataset.columns, None, FoundColumns()
    if dataset.metadata:
        by_name = columns.label if columns.label and not columns.label.lstrip("-").isdecimal() else None
        metadata = read_metadata(dataset.metadata, by_name, note)
        if by_name and metadata.label is None and is_fasta(dataset.path):
            names = shown(", ".join(metadata.names))
            raise InputError(f"{metadata.path}: no column {quoted(by_name)} for the labels. The file has: {names}.")
        columns = replace(columns, label_optional=metadata.label is not None)
    else:
        FILES.metadata_problems.unlink(missing_ok=True)
    return normalise_dataset(
        read_records(dataset.path, columns, note, found),
        dataset.path,
        dataset.seq_type,
        Policies(**snakemake.config["input"]),
        FILES,
        requirements_of(snakemake.config, dataset),
        notes,
        found,
        metadata,
    )


def divide() -> None:
    """Divide the sequences into shards, one for each embedding job; none if only predictions embed them."""
    table = Path(snakemake.output.shards)
    if not snakemake.params.dataset.is_embedded:
        write_shard_table(table, [])
        return
    limit = snakemake.config["compute"]["shard_tokens"]
    shards = split_sequences(Path(snakemake.output.sequences), shard_folder(table), limit)
    write_shard_table(table, shards)
    found = f"{counted(len(shards), 'shard')} (a shard has the sequences of one embedding job)"
    logger.info("%s: %s", snakemake.params.dataset.name, found)


if __name__ == "__main__":
    output = snakemake.output
    paths = output.records, output.sequences, output.labels, output.counts
    FILES = NormalisedFiles(*map(Path, paths), Path(output.records).with_name("problems.tsv"))
    written = [shard_folder(Path(output.shards))] if snakemake.params.dataset.is_embedded else []
    written += [FILES.metadata_problems] if snakemake.params.dataset.metadata else []
    with (
        reporting_to(snakemake.log[0], terminal_level=logging.INFO),
        recording(output.receipt, snakemake.params.settings, [*output, *written]),
    ):
        main()
