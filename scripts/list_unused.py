"""List the embeddings that other options, checkpoints or models left in the results, or remove them."""

import logging
import shutil
from pathlib import Path

from lucaflow.downstream.required_embeddings import unplanned_folders
from lucaflow.files.space import human_bytes, size_of
from lucaflow.logs import reporting_to
from lucaflow.store.verification import unused_folders

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Go through the datasets' folders, except what the configuration asks for now."""
    found = []
    for folder in map(Path, snakemake.params.folders):
        found += [*unused_folders(folder, snakemake.params.now), *unplanned_folders(folder)]
    for path in found:
        logger.info("%10s  %s%s", human_bytes(size_of(path)), path, "  removed" if snakemake.params.removing else "")
        if snakemake.params.removing:
            shutil.rmtree(path)
    if not found:
        logger.info("nothing is there but what the configuration asks for, and what results link to")
    elif not snakemake.params.removing:
        logger.info("An option that is changed back finds them again. `snakemake remove_older` removes them.")


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], shown=logging.INFO):
        main()
