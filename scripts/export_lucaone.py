"""Write the embeddings of a dataset as the files of LucaOneApp."""

import lucaflow.quick_start  # noqa: F401

import logging
from pathlib import Path

from lucaflow.exports.lucaone_files import export_lucaone
from lucaflow.files.json_files import read_json
from lucaflow.files.receipts import recording_step
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Export all accepted records, and write a report."""
    save_type = snakemake.config["save_type"]
    verified = read_json(Path(snakemake.input.verified))
    embeddings, records = Path(snakemake.input.embeddings), Path(snakemake.input.records)
    count = export_lucaone(embeddings, records, save_type, Path(snakemake.output.folder))
    origin = {name: verified[name] for name in ("dataset", "fingerprint", "checkpoint_sha256", "options")}
    report = {**origin, "save_type": save_type, "files": count}
    write_json(Path(snakemake.output.about), report)
    logger.info("%d files written", count)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "embeddings", "verified", "records"):
        main()
