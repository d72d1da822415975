"""Write the vectors of a dataset, with descriptions, labels and further columns of its records, as one table."""

from pathlib import Path

from lucaflow.exports.tables import RecordTables, export_anndata, export_parquet
from lucaflow.files.receipts import recording_step
from lucaflow.logs import reporting_to


def main() -> None:
    """Export in the format of the output file."""
    export = {"parquet": export_parquet, "h5ad": export_anndata}[snakemake.wildcards.suffix]
    tables = RecordTables(*(Path(snakemake.input[name]) for name in ("records", "labels", "columns")))
    outputs = snakemake.params.settings["outputs"]
    export(Path(snakemake.input.embeddings), tables, outputs, Path(snakemake.output[0]))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "embeddings", "records", "labels", "columns"):
        main()
