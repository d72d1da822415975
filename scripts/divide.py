"""Divide the labelled rows of a dataset into train, dev and test, and measure how much these resemble each other."""

import logging
from pathlib import Path

import numpy as np

from lucaflow.errors import InputError
from lucaflow.files.receipts import recording_step
from lucaflow.files.writing import write_table
from lucaflow.logs import reporting_to
from lucaflow.records.task_folders import class_names_of, is_task_folder
from lucaflow.training.division import divide
from lucaflow.training.labelled import (
    Source,
    labels_by_name,
    ordered_classes,
    read_rows,
    seq_types_of,
    write_division,
    write_nearest,
)
from lucaflow.training.leakage import find_neighbours, leakage_table
from lucaflow.training.mmseqs import find_mmseqs
from lucaflow.training.splits import refuse, write_splits

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Write the division, and last the table of splits."""
    training, inputs = snakemake.params.training, snakemake.input
    splits = Path(snakemake.output.splits)
    place = f"training.{training.task}, dataset {training.dataset}: the table"
    dataset = snakemake.params.dataset
    source = Source(dataset.path, *(Path(inputs[name]) for name in ("records", "labels", "columns", "sequences")))
    classes = class_names_of(dataset.path) if is_task_folder(dataset.path) else ()
    options = labels_by_name(training.options, classes)
    try:
        rows = read_rows(source, training.given_column, dataset.columns.label, options, classes)
        seq_types = seq_types_of(rows) if len(rows) else ()
        refuse("The table", training.unreadable(seq_types))
    except InputError as error:
        raise InputError(f"training.{training.task}, dataset {training.dataset}: {error}") from error
    if not len(rows):
        refuse(place, ["- it has no labels. Correct label_column in the table of datasets."])
    mmseqs = find_mmseqs(snakemake.threads)
    split = divide(rows, training.split, mmseqs, splits, place)
    of_outputs = ordered_classes(rows, split, training.options, classes)
    if training.options.weight and len(training.options.weight) != len(of_outputs):
        names = f"{len(of_outputs)} classes, in this order: {', '.join(of_outputs)}"
        refuse(place, [f"- weight has {len(training.options.weight)} numbers, expected one for each of {names}."])
    neighbours = find_neighbours(rows, split, mmseqs, splits, training.split.coverage)
    write_table(Path(snakemake.output.leakage), leakage_table(rows, split, neighbours))
    write_nearest(Path(snakemake.output.nearest), rows, neighbours)
    about = {"labelled": len(rows), "distinct": len(np.unique(rows.sides)), "mmseqs": mmseqs.version()}
    # Those with an output: of a class that no row has, there is one only where LucaOneTasks' computation is asked for.
    about |= {"classes": list(of_outputs) if classes else [], "seq_types": list(seq_types)}
    write_division(Path(snakemake.output.division), split, training.options, about)
    write_splits(splits, rows, split)
    for note in split.notes:
        logger.info("%s: %s", training.task, note)


if __name__ == "__main__":
    with (
        reporting_to(snakemake.log[0], terminal_level=logging.INFO),
        recording_step(snakemake, "records", "labels", "columns", "sequences"),
    ):
        main()
