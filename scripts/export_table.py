"""Write the vectors of a dataset, with descriptions and labels of its records, as one table."""

from pathlib import Path

from lucaflow.exports.tables import export_anndata, export_parquet
from lucaflow.files.receipts import recording_step
from lucaflow.logs import reporting_to


def main() -> None:
    """Export in the format of the output file."""
    export = {"parquet": export_parquet, "h5ad": export_anndata}[snakemake.wildcards.suffix]
    embeddings, records, labels = (Path(snakemake.input[name]) for name in ("embeddings", "records", "labels"))
    export(embeddings, records, labels, snakemake.params.settings["outputs"], Path(snakemake.output[0]))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "embeddings", "records", "labels"):
        main()
