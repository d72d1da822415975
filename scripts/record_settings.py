"""Write the settings of one step to a file whose name has the step and a digest of the settings."""

from pathlib import Path

from lucaflow.config.step_settings import write_settings
from lucaflow.logs import reporting_to

if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        path = Path(snakemake.output[0])
        write_settings(path, path.stem.rpartition("-")[0], snakemake.params.settings)
