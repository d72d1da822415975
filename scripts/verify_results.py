"""Read all results again, name and remove what is not what was verified; the next run rebuilds it."""

import logging
from pathlib import Path

from lucaflow.checkpoints import RECORD_NAME
from lucaflow.errors import StoreError
from lucaflow.logs import reporting_to
from lucaflow.verification import changed_checkpoint, changed_files

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Check every dataset that was verified before, and the checkpoints they rest on."""
    bad: list[tuple[Path, str]] = []
    missing = []
    for folder in map(Path, snakemake.params.results):
        report = folder / "verified.json"
        if not report.is_file():
            missing.append(str(folder))
            continue
        changed = changed_files(report)
        bad += [*changed, (report, "speaks of files that changed")] if changed else []
        logger.info("%s: %s", folder, f"{len(changed)} files differ" if changed else "everything is what it was")
    for folder in map(Path, snakemake.params.checkpoints):
        if (folder / RECORD_NAME).is_file():
            bad += changed_checkpoint(folder)
    for path, _ in bad:
        path.unlink(missing_ok=True)
    problems = [f"{path}: {problem}" for path, problem in bad]
    if problems:
        raise StoreError(
            "these files are missing or not what they were, and what is left of them was removed; run again to rebuild "
            "exactly these:\n  " + "\n  ".join(problems)
        )
    if missing:
        raise StoreError(f"nothing was verified yet in {', '.join(missing)}. Run `snakemake` first.")


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], shown=logging.INFO):
        main()
