"""Write the settings of one step under a name that holds their digest."""

from pathlib import Path

from lucaflow.logs import reporting_to
from lucaflow.steps import write_settings

if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        write_settings(Path(snakemake.output[0]), snakemake.wildcards.step, snakemake.params.settings)
