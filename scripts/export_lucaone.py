"""Write the files that LucaOneApp would have written."""

import logging
from pathlib import Path

from lucaflow.exports.lucaone import export_lucaone
from lucaflow.files.json_files import read_json
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Export every record."""
    save_type = snakemake.config["save_type"]
    verified = read_json(Path(snakemake.input.verified))
    count = export_lucaone(
        Path(snakemake.input.embeddings), Path(snakemake.input.records), save_type, Path(snakemake.output.folder)
    )
    of_verified = {name: verified[name] for name in ("dataset", "fingerprint", "checkpoint_sha256", "options")}
    report = {**of_verified, "save_type": save_type, "files": count}
    write_json(Path(snakemake.output.about), report)
    logger.info("%d files", count)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
