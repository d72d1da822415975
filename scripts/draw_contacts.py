"""Draw a few contact maps of a dataset."""

from pathlib import Path

from lucaflow.logs import reporting_to
from lucaflow.report.figures import draw_contacts

if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        draw_contacts(Path(snakemake.input.embeddings), Path(snakemake.output[0]))
