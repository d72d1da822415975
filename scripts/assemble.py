"""Assemble the shards of a dataset into embeddings.h5, read it back, and check it against the records."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError
from lucaflow.files.receipts import recording_step
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to
from lucaflow.store.assembly import assemble, read_accepted
from lucaflow.store.format import ORIGIN_ATTRIBUTES
from lucaflow.store.verification import (
    Problems,
    damage_of_shard,
    remove_stale_shards,
    verified_report,
    verify_embeddings,
)

logger = logging.getLogger("lucaflow")


def main(known: dict[Path, dict[str, Any]]) -> None:
    """Assemble and verify. Then remove stale shards.

    known: for the receipt, the size and SHA-256 of embeddings.h5.
    """
    settings, records = snakemake.params.settings, Path(snakemake.input.records)
    embeddings = Path(snakemake.output.embeddings)
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    # A name of one's own has no step.
    attributes = {name: settings[name] for name in ORIGIN_ATTRIBUTES if settings[name] is not None}
    accepted = read_accepted(records)
    shards = [Path(shard) for shard in snakemake.input.shards]
    try:
        assemble(embeddings, attributes, options, accepted, shards)
    except StoreError as error:
        refuse(damaged(shards), error)
    problems = verify_embeddings(embeddings, accepted, options, attributes, shards)
    if problems.by_file:
        refuse(problems)
    for path in remove_stale_shards(shards):
        logger.info("removed %s, which is no longer needed", path)
    report = verified_report(embeddings, accepted, options, records, shards)
    known[embeddings] = report["files"][embeddings.name]
    write_json(Path(snakemake.output.verified), report)
    logger.info("%d records and %d distinct sequences verified", report["records"], report["distinct_sequences"])


def damaged(shards: Sequence[Path]) -> Problems:
    """Return the problems of shards that cannot be assembled."""
    return Problems({shard: [how] for shard in shards if (how := damage_of_shard(shard))})


def refuse(problems: Problems, cause: StoreError | None = None) -> NoReturn:
    """Remove the files that have problems, so that the next run rebuilds them, and raise StoreError that names them."""
    if cause and not problems.by_file:
        raise cause
    for path in {Path(snakemake.output.embeddings), *problems.by_file}:
        path.unlink(missing_ok=True)
    raise StoreError(
        f"the embeddings of {snakemake.wildcards.dataset} have problems:\n  {problems.describe()}\n"
        "The files named here and embeddings.h5 were removed; run again to rebuild only these files."
    ) from cause


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "records", "division") as known:
        main(known)
