"""Read embeddings.h5 and its shards, check them against the records, and fail with the names of bad files."""

import logging
from pathlib import Path

from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError
from lucaflow.files.json_files import read_json
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to
from lucaflow.store.assembly import read_accepted
from lucaflow.store.format import ORIGIN_ATTRIBUTES
from lucaflow.store.verification import remove_stale_shards, verified_report, verify_embeddings

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Verify the embeddings of a dataset.

    Remove bad files, so that the next run rebuilds them. If all files are good, remove stale shards.
    """
    embeddings, records = Path(snakemake.input.embeddings), Path(snakemake.input.records)
    shards = [Path(shard) for shard in snakemake.input.shards]
    settings = read_json(Path(snakemake.input.settings))
    accepted = read_accepted(records)
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    attributes = {name: settings[name] for name in ORIGIN_ATTRIBUTES}
    problems = verify_embeddings(embeddings, accepted, options, attributes, shards)
    if problems.by_file:
        for path in {embeddings, *problems.by_file}:
            if path.is_file():
                path.unlink()
        raise StoreError(
            f"the embeddings of {settings['dataset']} have problems:\n  {problems.describe()}\n"
            "The files named here and embeddings.h5 were removed; run again to rebuild only these files."
        )
    for path in remove_stale_shards(shards):
        logger.info("removed %s, which is no longer needed", path)
    report = verified_report(embeddings, accepted, options, records, shards)
    write_json(Path(snakemake.output[0]), report)
    logger.info("%d records and %d distinct sequences verified", report["records"], report["distinct_sequences"])


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
