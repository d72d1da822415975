"""Read all results again, name and remove what is not what was verified; the next run rebuilds it."""

import logging
from pathlib import Path

from lucaflow.errors import StoreError
from lucaflow.logs import reporting_to
from lucaflow.verification import changed_files

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Check every dataset that was verified before."""
    bad = []
    for folder in map(Path, snakemake.params.results):
        report = folder / "verified.json"
        if not report.is_file():
            logger.warning("%s: nothing was verified here yet; run `snakemake` first", folder)
            continue
        changed = changed_files(report)
        bad += changed
        for path, _ in changed:
            path.unlink(missing_ok=True)
        if changed:
            report.unlink(missing_ok=True)
        else:
            logger.warning("%s: everything is what it was", folder)
    if bad:
        found = "\n  ".join(f"{path}: {problem}" for path, problem in bad)
        raise StoreError(f"these results were not sound and have been removed; run again to rebuild them:\n  {found}")


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
