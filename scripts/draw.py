"""Draw the figures of a dataset (maps, lengths, contact maps), and find the neighbours and groups of its records."""

import lucaflow.quick_start  # noqa: F401

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lucaflow.config.neighbours import NeighbourOptions
from lucaflow.files.receipts import recording_step
from lucaflow.files.writing import replacing, write_text
from lucaflow.logs import reporting_to
from lucaflow.neighbours.comparison import LabelsCompared, compare_labels, in_order_of
from lucaflow.neighbours.datasets import Files, Labelled, Searched, search_dataset
from lucaflow.neighbours.groups import Groups, group
from lucaflow.neighbours.recall import with_recall
from lucaflow.neighbours.search import unit_vectors
from lucaflow.neighbours.tables import write_groups, write_labels, write_neighbours, write_tsv
from lucaflow.records.sequences import read_sequences
from lucaflow.report.columns import MOST_NUMBERED_LABELS, Numbers, column_of
from lucaflow.report.figures import draw_contacts, draw_lengths, number_shown, sample_rows
from lucaflow.report.map_neighbours import MOST_LETTERS, Found, with_neighbours
from lucaflow.report.map_page import draw_html
from lucaflow.report.map_predictions import with_predictions
from lucaflow.report.maps import draw_picture, make_map
from lucaflow.report.pages import page
from lucaflow.report.similarity import MOST_SEQUENCES, draw_similarity
from lucaflow.store.format import EMBEDDINGS_FORMAT, open_hdf5, read_rows

logger = logging.getLogger("lucaflow")

KINDS = ("png", "svg", "html")
TABLES = ("neighbours.tsv", "groups.tsv", "transferred_labels.tsv", "neighbours.metrics.tsv", "neighbours.metrics.html")
DRAWN = [
    f"figures/{name}.{kind}" for name in ("map", "tsne", "umap", "lengths", "contacts", "similarity") for kind in KINDS
]
# Bytes of a FASTA file whose sequences may be in the page of a map.
LARGEST_READ = 2 * MOST_LETTERS
PROJECTIONS = {"map": "components", "tsne": "tsne", "umap": "umap"}
READ = ("embeddings", "records", "labels", "columns", "sequences", "reference", "nearest", "predictions", "scores")


def main() -> None:
    """Draw the requested figures."""
    figures = {Path(path).name: Path(path) for path in snakemake.output}
    embeddings, records, labels, columns = (Path(snakemake.input[name]) for name in READ[:4])
    for name in (*TABLES, *DRAWN):
        if Path(name).name not in figures:
            # Of an earlier run, with other settings.
            (embeddings.parent / name).unlink(missing_ok=True)
    found = list_neighbours(figures) if "neighbours.tsv" in figures else None
    residues = residues_of(found.searched.dataset) if found else None
    for name, projection in PROJECTIONS.items():
        if f"{name}.png" in figures:
            note, label = (snakemake.params.settings[name] for name in ("note", "label"))
            drawing = make_map(embeddings, records, labels, note, projection, snakemake.threads, columns, label)
            draw_picture(drawing, figures[f"{name}.png"])
            drawing = with_neighbours(drawing, found, residues) if found else drawing
            draw_html(with_predictions(drawing, *predicted_and_scored()), figures[f"{name}.html"])
    if "lengths.png" in figures:
        draw_lengths(lengths_of(embeddings), snakemake.wildcards.dataset, figures["lengths.png"])
    if "contacts.png" in figures:
        draw_contacts(embeddings, figures["contacts.png"])


def predicted_and_scored() -> tuple[list[Path], Path | None]:
    """Return the table of each task of the dataset, and that of the scores of its sequences, if it has some."""
    tasks = [path for path in map(Path, snakemake.input.predictions) if path.suffix == ".csv"]
    return tasks, next(map(Path, snakemake.input.scores), None)


def list_neighbours(outputs: Mapping[str, Path]) -> Found:
    """List the nearest neighbours of each record, and compare their labels, if there are any. outputs: by name."""
    settings = snakemake.params.settings["neighbours"]
    own = Files(*(Path(snakemake.input[name]) for name in (*READ[:3], "sequences")))
    other = Files(*map(Path, snakemake.input.reference)) if snakemake.input.reference else None
    options = NeighbourOptions(settings["k"], settings["vector"])
    nearest = Path(snakemake.input.nearest) if snakemake.input.nearest else None
    found = search_dataset(own, options, other, nearest)
    write_neighbours(found, outputs["neighbours.tsv"])
    groups = groups_of(found)
    write_groups(found.dataset, groups, outputs["groups.tsv"])
    draw_similarities(found, outputs["similarity.png"])
    about_groups = (groups.sentence(),) if groups else ()
    if "transferred_labels.tsv" not in outputs:
        if "neighbours.metrics.tsv" in outputs:
            write_metrics(with_recall(LabelsCompared.of_nothing(), found, snakemake.wildcards.model), outputs)
        return Found(found, groups, None, about_groups)
    compared = list_labels(found, own, other or own, outputs)
    # Of a reference the first sentence is about the labels there.
    whose = f"{reference}: " if (reference := snakemake.params.settings.get("reference")) else ""
    about_labels = (f"{whose}{sentence}" for sentence in compared.sentences[:1])
    return Found(found, groups, compared.suggested, (*about_labels, *about_groups))


def list_labels(found: Searched, own: Files, reference: Files, outputs: Mapping[str, Path]) -> LabelsCompared:
    """Write the labels that neighbours suggest, and how often they are right."""
    model = snakemake.wildcards.model
    are_numbers = isinstance(column_of("label", found.reference.labels, MOST_NUMBERED_LABELS), Numbers)
    compared = compare_labels(found, own.sequences, reference.sequences, model, are_numbers, snakemake.threads)
    write_labels(found, compared.suggested, outputs["transferred_labels.tsv"])
    is_approximate = "search" in snakemake.params.settings["neighbours"]
    write_metrics(with_recall(compared, found, model) if is_approximate else compared, outputs)
    return compared


def write_metrics(compared: LabelsCompared, outputs: Mapping[str, Path]) -> None:
    """Write the numbers about neighbours as a table and as a page."""
    dataset, model = snakemake.wildcards.dataset, snakemake.wildcards.model
    with replacing(outputs["neighbours.metrics.tsv"]) as temporary:
        write_tsv(compared.metrics, temporary)
    title = f"{dataset} ({model}): labels of nearest neighbours"
    write_text(outputs["neighbours.metrics.html"], page(compared.metrics, title, compared.sentences))
    logger.info("%s: %s", dataset, " ".join(compared.sentences))


def residues_of(dataset: Labelled) -> list[str] | None:
    """Return the distinct sequences of a dataset for its page; None if they are too large for one."""
    path = Path(snakemake.input.sequences)
    if path.stat().st_size > LARGEST_READ:
        return None
    return [sequence.residues for sequence in in_order_of(dataset, read_sequences(path))]


def groups_of(found: Searched) -> Groups | None:
    """Return the groups of a dataset's sequences; None if there are too many for the time of this job."""
    if found.vectors is None:
        return None
    groups = group(unit_vectors(found.vectors, found.vectors.mean(0, dtype=np.float64)))
    logger.info("%s: %s", snakemake.wildcards.dataset, groups.sentence())
    return groups


def draw_similarities(found: Searched, path: Path) -> None:
    """Draw how similar the distinct sequences of a dataset are to each other, some hundred of them."""
    vector, model = snakemake.params.settings["neighbours"]["vector"], snakemake.wildcards.model
    dataset, names = found.dataset, np.array([*found.dataset.names, ""], dtype=object)
    with open_hdf5(Path(snakemake.input.embeddings), EMBEDDINGS_FORMAT) as file:
        rows = sample_rows(len(file[vector]), MOST_SEQUENCES)
        units = unit_vectors(read_rows(file[vector], rows), found.centre)
    details = [f"similarity of {vector} embeddings by {model}", number_shown(len(rows), len(dataset.digests))]
    details += [note] if (note := snakemake.params.settings["note"]) else []
    ids, labels = dataset.ids[dataset.first[rows]], names[dataset.codes[rows]]
    draw_similarity(units, ids, labels, snakemake.wildcards.dataset, " · ".join(details), path)


def lengths_of(embeddings: Path) -> dict[int, int]:
    """Return the number of distinct sequences of each length."""
    with open_hdf5(embeddings, EMBEDDINGS_FORMAT) as file:
        lengths, counts = np.unique(file["lengths"][:], return_counts=True)
    return dict(zip(lengths.tolist(), counts.tolist(), strict=True))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, *READ):
        main()
