"""Write the table that a run ends in."""

from pathlib import Path

from lucaflow.files import write_table, write_text
from lucaflow.logs import reporting_to
from lucaflow.summary import page, summarise

if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        rows = summarise(
            map(Path, snakemake.input.counts),
            map(Path, snakemake.input.verified),
            map(Path, snakemake.input.predicted),
            Path("benchmarks/embed"),
        )
        write_table(Path(snakemake.output.table), rows)
        write_text(Path(snakemake.output.html), page(rows, "Summary"))
