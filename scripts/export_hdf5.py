"""Write the embeddings of a dataset as a single HDF5 file."""

from pathlib import Path

from lucaflow.exports.hdf5 import export_by_id, export_standalone
from lucaflow.logs import reporting_to

if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        outputs, path = snakemake.params.outputs, Path(snakemake.output[0])
        if snakemake.wildcards.layout == "standalone":
            export_standalone(Path(snakemake.input.embeddings), outputs, path)
        else:
            export_by_id(Path(snakemake.input.embeddings), outputs[0], path)
