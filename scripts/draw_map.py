"""Draw the map of a dataset, as a picture and as a page."""

from pathlib import Path

from lucaflow.logs import reporting_to
from lucaflow.records.counts import Counts
from lucaflow.report.figures import draw_lengths
from lucaflow.report.map_page import draw_html
from lucaflow.report.maps import draw_png, make_map


def main() -> None:
    """Make the map and draw it as a picture and as a page; with `components`, draw the lengths too."""
    drawing = make_map(
        Path(snakemake.input.embeddings),
        Path(snakemake.input.records),
        Path(snakemake.input.labels),
        snakemake.params.note,
        snakemake.params.projection,
        snakemake.threads,
    )
    draw_png(drawing, Path(snakemake.output.png))
    draw_html(drawing, Path(snakemake.output.html))
    if snakemake.params.projection == "components":
        counts = Counts.read(Path(snakemake.input.counts))
        draw_lengths(counts.lengths, snakemake.wildcards.dataset, Path(snakemake.output.lengths))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
