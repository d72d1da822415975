"""Search for the neighbours of all sequences of a dataset, except those that other jobs have found."""

import lucaflow.quick_start  # noqa: F401

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lucaflow.files.receipts import recording_step
from lucaflow.logs import reporting_to
from lucaflow.neighbours.approximate import GRAPH_NAME, recall_of
from lucaflow.neighbours.datasets import Files, Labelled, rows_left_out
from lucaflow.neighbours.devices import products_on
from lucaflow.neighbours.nearest_file import Nearest, write_nearest
from lucaflow.neighbours.search import Neighbours, nearest
from lucaflow.neighbours.search_job import SearchJob, Source, digests_of, name_of, remove_older
from lucaflow.records.sequences import index_sequences, read_shard_names, shard_folder
from lucaflow.store.embeddings import Embeddings
from lucaflow.store.format import read_rows

# Sequences whose neighbours are searched exactly as well, to see how many an approximate search finds.
MOST_SEARCHED_TWICE = 1000


def main() -> None:
    """Search the missing neighbours, put all together, and remove the files of older searches of this dataset."""
    torch.set_num_threads(snakemake.threads)
    vector, k = snakemake.params.settings["vector"], snakemake.params.k
    own, table = Path(snakemake.input.embeddings), Path(snakemake.input.shards)
    other = Files(*map(Path, snakemake.input.reference)) if snakemake.input.reference else None
    shards = {
        name: digests_of(index_sequences(shard_folder(table) / f"{name}.fasta").digests)
        for name in read_shard_names(table)
    }
    with (
        Source.opened(own, vector) as source,
        Source.opened(other.embeddings if other else own, vector) as reference,
    ):
        load = partial(products_on, snakemake.config["compute"]["device"])
        threads = snakemake.threads if "search" in snakemake.params.settings else None
        job = SearchJob(Path(snakemake.params.folder), "all", reference, k, load, threads)
        job.run(source, shards)
        left_out = left_out_of(other, k) if other else np.zeros(0, dtype=np.int64)
        digests = reference.digests[left_out]
        of_left_out = {name_of(digests): digests} if len(left_out) else {}
        job.run(reference, of_left_out)
        found = Nearest(job.gathered(source.digests, shards), left_out, job.gathered(digests, of_left_out))
        if job.threads_of_graph:
            found = replace(found, recall=recall_in(found.neighbours, source, job))
    write_nearest(Path(snakemake.output.nearest), found)
    # The graph of a reference serves the next search; that of the dataset itself changes with its sequences.
    remove_older(job.folder, {*shards, *of_left_out, *([GRAPH_NAME] if other else [])})


def recall_in(found: Neighbours, source: Source, job: SearchJob) -> np.ndarray:
    """Return the share (S,) of the exact neighbours that were found, of sequences spread evenly over the dataset."""
    rows = np.unique(np.linspace(0, len(source.digests) - 1, MOST_SEARCHED_TWICE).astype(int))
    own = job.reference.rows_of(source.digests[rows])
    vectors, rank = read_rows(source.vectors, rows), job.reference.rank
    exact = nearest(vectors, job.k, job.reference.vectors, own, rank, job.products)
    return recall_of(Neighbours(found.rows[rows], found.similarity[rows]), exact)


def left_out_of(reference: Files, k: int) -> np.ndarray:
    """Return the rows (E,) of another dataset whose neighbours show how often its labels are found."""
    if not snakemake.params.labelled:
        return np.zeros(0, dtype=np.int64)
    from lucaflow.report.columns import MOST_NUMBERED_LABELS, Numbers, column_of  # it imports matplotlib

    with Embeddings(reference.embeddings) as embeddings:
        labelled = Labelled.read(embeddings, reference)
    # Measured numbers are no classes.
    are_numbers = isinstance(column_of("label", labelled.labels, MOST_NUMBERED_LABELS), Numbers)
    return rows_left_out(labelled, 0 if are_numbers else k)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "embeddings", "shards", "reference"):
        main()
