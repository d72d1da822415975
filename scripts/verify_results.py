"""Read all results again, name and remove those that changed since they were written.

The next run rebuilds the removed results.
"""

import logging
import shutil
from collections.abc import Collection
from pathlib import Path

from lucaflow.checkpoints.checksums import changed_checkpoint
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD
from lucaflow.downstream.models import HEAD_RECORD, changed_head
from lucaflow.downstream.required_embeddings import Plan
from lucaflow.errors import StoreError, UnreadableError
from lucaflow.files.checksums import checksum_file_of, damage_of_result, results_with_checksum
from lucaflow.logs import reporting_to
from lucaflow.store.verification import changed_files, damage_of_shard

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Check all verified embeddings, all predictions, and the models that they depend on."""
    results = [Path(folder) / "verified.json" for folder in snakemake.params.results]
    reports = [*results, *map(Path, snakemake.params.predictions)]
    missing = [str(report) for report in reports if not report.is_file()]
    damaged = [found for report in reports if report.is_file() for found in changed_results(report)]
    for plan in map(Path, snakemake.params.plans):
        if plan.is_file():
            damaged += damaged_head_embeddings(plan)
    for folder in map(Path, snakemake.params.checkpoints):
        if (folder / CHECKPOINT_RECORD).is_file():
            damaged += changed_checkpoint(folder)
    for folder in map(Path, snakemake.params.heads):
        if (folder / HEAD_RECORD).is_file():
            damaged += changed_head(folder)
    others, unreadable = damaged_results(known={path for path, _ in damaged})
    damaged += others
    for path, _ in damaged:
        remove_result(path)
    messages = []
    if damaged:
        messages.append(
            "these files were missing, damaged or changed, and are now removed; run again to rebuild only these files:"
            "\n  " + "\n  ".join(f"{path}: {problem}" for path, problem in damaged)
        )
    if unreadable:
        messages.append(
            "these files could not be read and were not checked; verify again when they can be read:"
            "\n  " + "\n  ".join(unreadable)
        )
    if messages:
        raise StoreError("\n".join(messages))
    if missing:
        raise StoreError(f"these results do not exist yet: {', '.join(missing)}. Run `snakemake` first.")


def damaged_results(known: Collection[Path]) -> tuple[list[tuple[Path, str]], list[str]]:
    """Return results that do not match their checksum files, with the reason, and messages about unreadable results.

    known: results that are known to be damaged, which are not read.
    """
    top, *folders = snakemake.params.checksum_folders
    patterns = [(top, ".*.sha256"), *((folder, "**/.*.sha256") for folder in folders)]
    paths = [path for folder, pattern in patterns for path in results_with_checksum(Path(folder), pattern)]
    damaged, unreadable = [], []
    for path in paths:
        try:
            problem = "" if path in known else damage_of_result(path)
        except UnreadableError as error:
            unreadable.append(str(error))
        else:
            damaged += [(path, problem)] if problem else []
    logger.info("compared %d texts, tables, pictures and exports with their checksums", len(paths))
    return damaged, unreadable


def remove_result(path: Path) -> None:
    """Remove a file, or a folder that one job wrote, and its checksum file."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    checksum_file_of(path).unlink(missing_ok=True)


def damaged_head_embeddings(plan: Path) -> list[tuple[Path, str]]:
    """Return the damaged shards for downstream models and the predictions that depend on them.

    The predictions are removed as well because the next run rebuilds shards only for missing predictions. Missing
    shards are no damage: the user may have removed them to make room.
    """
    try:
        shards = [path for group in Plan.read(plan).groups for path in group.files(plan.parent) if path.is_file()]
    except StoreError as error:
        return [(plan, str(error))]
    damaged = [(path, problem) for path in shards if (problem := damage_of_shard(path))]
    dataset = plan.parent.parent
    reports = [Path(report) for report in snakemake.params.predictions if Path(report).is_relative_to(dataset)]
    if damaged:
        damaged += [(report, "depends on damaged embeddings") for report in reports if report.is_file()]
    return damaged


def changed_results(report: Path) -> list[tuple[Path, str]]:
    """Return the files that are damaged or differ from their description in a report, and the report itself."""
    changed = changed_files(report)
    logger.info("%s: %s", report, f"{len(changed)} files changed" if changed else "no file changed")
    return [*changed, (report, "describes files that changed")] if changed else []


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO):
        main()
