"""Write the vectors of a dataset as .npy files."""

from pathlib import Path

from lucaflow.exports.numpy_files import export_npy
from lucaflow.logs import reporting_to

if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        export_npy(Path(snakemake.input.embeddings), snakemake.params.outputs, Path(snakemake.output.ids).parent)
