"""Write run.yaml and its page: the configuration, versions and checksums on which the results depend."""

from pathlib import Path

import yaml

from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.files.json_files import read_json
from lucaflow.files.writing import write_text
from lucaflow.logs import reporting_to
from lucaflow.report.pages import page_of_text

OF_CHECKPOINT = ("llm_version", "llm_step", "layout", "origin", "model", "encoder", "parameters")


def main() -> None:
    """Join the settings of the run and the record of its checkpoint."""
    settings = read_json(Path(snakemake.input.settings))
    if snakemake.input.checkpoint:
        record = read_record(Path(snakemake.input.checkpoint).parent)
        settings["checkpoint"] = {name: record[name] for name in OF_CHECKPOINT}
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    write_text(Path(snakemake.output.yaml), text)
    write_text(Path(snakemake.output.html), page_of_text(text, f"{snakemake.wildcards.dataset}: run.yaml"))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
