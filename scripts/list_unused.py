"""List or remove unused embeddings and passes in the results, made with other options, checkpoints or models."""

import logging
from itertools import chain
from pathlib import Path

from lucaflow.downstream.required_embeddings import unplanned_folders
from lucaflow.files.places import inside
from lucaflow.files.space import human_bytes, size_of
from lucaflow.logs import reporting_to
from lucaflow.scores.pass_files import PASSES, remove_passes, unused_pass_folders
from lucaflow.store.verification import remove_shards, unused_shard_folders

logger = logging.getLogger("lucaflow")


def main() -> None:
    """List, or remove, the folders of unused embeddings of all datasets."""
    unused = []
    for folder in map(Path, snakemake.params.folders):
        now = snakemake.params.now
        of_folder = (unused_shard_folders(folder, now), unplanned_folders(folder), unused_pass_folders(folder, now))
        for path in chain.from_iterable(of_folder):
            try:
                unused.append(inside(folder, path.relative_to(folder).as_posix()))
            except ValueError as error:
                logger.warning("%s: a link leads out. It was left unchanged.", error)
    for path in unused:
        logger.info("%10s  %s%s", human_bytes(size_of(path)), path, "  removed" if snakemake.params.removing else "")
        remove = remove_passes if path.parent.name == PASSES else remove_shards
        if snakemake.params.removing and (left := remove(path)):
            logger.warning("%s was not removed: it also holds other files, such as %s", path, left[0].name)
    if not unused:
        logger.info("There are no unused embeddings: the configuration or a result uses all of them.")
    elif not snakemake.params.removing:
        logger.info(
            "Embeddings made with other options are reused if these options are set again. "
            "`snakemake remove_older` removes them all."
        )


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO):
        main()
