"""Write the vectors of a dataset, with descriptions, labels and further columns of its records, as one table."""

from pathlib import Path

from lucaflow.exports.csv_files import export_csv
from lucaflow.exports.tables import RecordTables, export_anndata, export_parquet
from lucaflow.files.receipts import receipt_path, recording_step
from lucaflow.logs import reporting_to

EXPORTS = {"parquet": export_parquet, "h5ad": export_anndata, "csv": export_csv, "csv.gz": export_csv}
# The same table, when it was smaller or larger.
OTHER = {"csv": "csv.gz", "csv.gz": "csv"}


def main() -> None:
    """Export in the format of the output file."""
    suffix, path = snakemake.wildcards.suffix, Path(snakemake.output[0])
    tables = RecordTables(*(Path(snakemake.input[name]) for name in ("records", "labels", "columns")))
    outputs = snakemake.params.settings["outputs"]
    EXPORTS[suffix](Path(snakemake.input.embeddings), tables, outputs, path)
    if suffix in OTHER:
        path.with_name(f"embeddings.{OTHER[suffix]}").unlink(missing_ok=True)
        step = f"export-{OTHER[suffix]}-{snakemake.wildcards.model}"
        receipt_path(path.parents[2], step).unlink(missing_ok=True)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "embeddings", "records", "labels", "columns"):
        main()
