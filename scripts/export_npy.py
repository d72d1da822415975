"""Write the vectors of a dataset as .npy files."""

from pathlib import Path

from lucaflow.exports.numpy_files import export_npy
from lucaflow.files.receipts import recording_step
from lucaflow.logs import reporting_to


def main() -> None:
    """Export all vector outputs, and the table of their rows."""
    embeddings = Path(snakemake.input.embeddings)
    export_npy(embeddings, snakemake.params.settings["outputs"], Path(snakemake.output.ids).parent)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "embeddings"):
        main()
