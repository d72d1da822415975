"""Draw the figures of a dataset: its map as a picture and as a page, the lengths of its sequences, contact maps."""

import lucaflow.quick_start  # noqa: F401

from pathlib import Path

import numpy as np

from lucaflow.files.receipts import recording_step
from lucaflow.logs import reporting_to
from lucaflow.report.figures import draw_contacts, draw_lengths
from lucaflow.report.map_page import draw_html
from lucaflow.report.maps import draw_picture, make_map
from lucaflow.store.format import EMBEDDINGS_FORMAT, open_hdf5

PROJECTIONS = {"map": "components", "tsne": "tsne"}
READ = ("embeddings", "records", "labels", "columns")


def main() -> None:
    """Draw the requested figures."""
    figures = {Path(path).name: Path(path) for path in snakemake.output}
    embeddings, records, labels, columns = (Path(snakemake.input[name]) for name in READ)
    dataset = snakemake.wildcards.dataset
    for name, projection in PROJECTIONS.items():
        if f"{name}.png" in figures:
            note, label = (snakemake.params.settings[name] for name in ("note", "label"))
            drawing = make_map(embeddings, records, labels, note, projection, snakemake.threads, columns, label)
            draw_picture(drawing, figures[f"{name}.png"])
            draw_html(drawing, figures[f"{name}.html"])
    if "lengths.png" in figures:
        draw_lengths(lengths_of(embeddings), dataset, figures["lengths.png"])
    if "contacts.png" in figures:
        draw_contacts(embeddings, figures["contacts.png"])


def lengths_of(embeddings: Path) -> dict[int, int]:
    """Return the number of distinct sequences of each length."""
    with open_hdf5(embeddings, EMBEDDINGS_FORMAT) as file:
        lengths, counts = np.unique(file["lengths"][:], return_counts=True)
    return dict(zip(lengths.tolist(), counts.tolist(), strict=True))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, *READ):
        main()
