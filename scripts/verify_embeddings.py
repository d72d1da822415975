"""Read embeddings.h5 and its shards back and check them against the records; fail by name if anything is amiss."""

import logging
from pathlib import Path

from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError
from lucaflow.files.json_files import read_json
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to
from lucaflow.store.assembly import read_accepted
from lucaflow.store.format import ATTRIBUTES
from lucaflow.store.verification import remove_stale, verified_report, verify_embeddings

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Verify; remove what is bad, so that the next run rebuilds it, or else what is stale."""
    embeddings, records = Path(snakemake.input.embeddings), Path(snakemake.input.records)
    shards = [Path(shard) for shard in snakemake.input.shards]
    settings = read_json(Path(snakemake.input.settings))
    accepted = read_accepted(records)
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    attributes = {name: settings[name] for name in ATTRIBUTES}
    finding = verify_embeddings(embeddings, accepted, options, attributes, shards)
    if finding.problems:
        for path in {embeddings, *finding.problems}:
            if path.is_file():
                path.unlink()
        raise StoreError(
            f"the embeddings of {settings['dataset']} are not sound:\n  {finding.describe()}\n"
            "The files named here and embeddings.h5 were removed; run again to rebuild exactly these."
        )
    for path in remove_stale(shards):
        logger.info("removed %s, which is no longer needed", path)
    report = verified_report(embeddings, accepted, options, [embeddings, records, *shards])
    write_json(Path(snakemake.output[0]), report)
    logger.info("%d records, %d distinct sequences", report["records"], report["distinct_sequences"])


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
