"""Write the embeddings of a dataset as a single HDF5 file."""

from pathlib import Path

from lucaflow.exports.hdf5 import export_by_id, export_standalone
from lucaflow.files.receipts import recording_step
from lucaflow.logs import reporting_to


def main() -> None:
    """Export in the layout of the output file."""
    embeddings, path = Path(snakemake.input.embeddings), Path(snakemake.output[0])
    outputs = snakemake.params.settings["outputs"]
    if snakemake.wildcards.layout == "standalone":
        export_standalone(embeddings, outputs, path)
    else:
        export_by_id(embeddings, outputs[0], path)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "embeddings"):
        main()
