"""Write the summary of a run: the table of its datasets, and the pages about all of them for the report."""

from pathlib import Path

from lucaflow.files.writing import write_table, write_text
from lucaflow.logs import reporting_to
from lucaflow.records.counts import Counts
from lucaflow.report.pages import page_by_dataset
from lucaflow.report.summary import summarise, validation


def main() -> None:
    """Read the counts and checks of the datasets, and write the tables."""
    verified = {path.parent.parent.name: path for path in map(Path, snakemake.input.verified)}
    counts = {path.parent.parent.name: Counts.read(path) for path in map(Path, snakemake.input.counts)}
    table = Path(snakemake.output.table)
    rows = summarise(counts, verified, map(Path, snakemake.input.predicted), table.parents[1])
    write_table(table, rows)
    write_text(Path(snakemake.output.html), page_by_dataset(rows, "Summary"))
    write_text(Path(snakemake.output.validation), page_by_dataset(validation(counts, verified), "Validation"))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
