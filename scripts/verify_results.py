"""Read all results again, name and remove what is not what was verified; the next run rebuilds it."""

import logging
import shutil
from collections.abc import Collection
from pathlib import Path

from lucaflow.checkpoints.checksums import changed_checkpoint
from lucaflow.checkpoints.converted import CHECKPOINT_RECORD
from lucaflow.downstream.models import HEAD_RECORD, changed_head
from lucaflow.downstream.required_embeddings import Plan
from lucaflow.errors import StoreError, UnreadableError
from lucaflow.files.checksums import changed_files, damage_of_result, guard_of, guarded_results
from lucaflow.logs import reporting_to
from lucaflow.store.verification import damage_of_shard

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Check everything that was verified or predicted before, and the models it rests on."""
    results = [Path(folder) / "verified.json" for folder in snakemake.params.results]
    reports = [*results, *map(Path, snakemake.params.predictions)]
    missing = [str(report) for report in reports if not report.is_file()]
    bad = [found for report in reports if report.is_file() for found in changed_results(report)]
    bad += [found for plan in map(Path, snakemake.params.plans) if plan.is_file() for found in damaged_for_heads(plan)]
    for folder in map(Path, snakemake.params.checkpoints):
        if (folder / CHECKPOINT_RECORD).is_file():
            bad += changed_checkpoint(folder)
    for folder in map(Path, snakemake.params.heads):
        if (folder / HEAD_RECORD).is_file():
            bad += changed_head(folder)
    damaged, unreadable = damaged_results(known={path for path, _ in bad})
    bad += damaged
    for path, _ in bad:
        remove(path)
    said = []
    if bad:
        said.append(
            "these files are missing or not what they were, and what is left of them was removed; run again to rebuild "
            "exactly these:\n  " + "\n  ".join(f"{path}: {problem}" for path, problem in bad)
        )
    if unreadable:
        said.append("these were not checked; verify again when they can be read:\n  " + "\n  ".join(unreadable))
    if said:
        raise StoreError("\n".join(said))
    if missing:
        raise StoreError(f"not there yet: {', '.join(missing)}. Run `snakemake` first.")


def damaged_results(known: Collection[Path]) -> tuple[list[tuple[Path, str]], list[str]]:
    """Return the other results that differ from the checksum beside them, and how; and those that cannot be read."""
    above, *folders = snakemake.params.guarded
    places = [(above, ".*.sha256"), *((folder, "**/.*.sha256") for folder in folders)]
    guarded = [path for folder, pattern in places for path in guarded_results(Path(folder), pattern)]
    damaged, unreadable = [], []
    for path in guarded:
        try:
            how = "" if path in known else damage_of_result(path)
        except UnreadableError as error:
            unreadable.append(str(error))
        else:
            damaged += [(path, how)] if how else []
    logger.info("%d texts, tables, pictures and exports: compared with their checksums", len(guarded))
    return damaged, unreadable


def remove(path: Path) -> None:
    """Remove a file, or a folder that one job wrote, and the checksum of it."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    guard_of(path).unlink(missing_ok=True)


def damaged_for_heads(plan: Path) -> list[tuple[Path, str]]:
    """Return the damaged embeddings for trained models, and with them the predictions, for which they are made again.

    Those that are not there may have been removed to make room.
    """
    try:
        shards = [path for group in Plan.read(plan).groups for path in group.files(plan.parent) if path.is_file()]
    except StoreError as error:
        return [(plan, str(error))]
    bad = [(path, how) for path in shards if (how := damage_of_shard(path))]
    dataset = plan.parent.parent
    reports = [Path(report) for report in snakemake.params.predictions if Path(report).is_relative_to(dataset)]
    return bad + [(report, "rests on embeddings that are damaged") for report in reports if bad and report.is_file()]


def changed_results(report: Path) -> list[tuple[Path, str]]:
    """Return the files that are not what a report says, and the report with them."""
    changed = changed_files(report)
    logger.info("%s: %s", report, f"{len(changed)} files differ" if changed else "everything is what it was")
    return [*changed, (report, "speaks of files that changed")] if changed else []


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], shown=logging.INFO):
        main()
