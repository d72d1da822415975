"""Read all results again, name and remove those that changed since they were written.

The next run rebuilds the removed results.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from lucaflow.checkpoints.checksums import changed_checkpoint
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD
from lucaflow.downstream.models import HEAD_RECORD, changed_head
from lucaflow.downstream.required_embeddings import Plan
from lucaflow.errors import StoreError, UnreadableError
from lucaflow.files import receipts
from lucaflow.logs import reporting_to
from lucaflow.store.verification import damage_of_shard, damaged_shards

logger = logging.getLogger("lucaflow")

Damage = list[tuple[Path, str]]


def main() -> None:
    """Compare all results with their receipts, read all shards, and check the models that they depend on."""
    folders = [Path(folder) for folder in snakemake.params.folders]
    found = [receipt for folder in folders for receipt in sorted(folder.glob(f"{receipts.FOLDER}/*.json"))]
    found += sorted(folders[0].parent.glob(f"{receipts.FOLDER}/*.json"))
    damaged, unreadable = damaged_results(found)
    for folder in map(Path, snakemake.params.checkpoints):
        if (folder / CHECKPOINT_RECORD).is_file():
            damaged += changed_checkpoint(folder)
    for folder in map(Path, snakemake.params.heads):
        if (folder / HEAD_RECORD).is_file():
            damaged += changed_head(folder)
    for path, _ in damaged:
        path.unlink(missing_ok=True)
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
    missing = [receipt for receipt in snakemake.params.expected if not Path(receipt).is_file()]
    if missing:
        raise StoreError(f"the steps of these receipts have not run yet: {', '.join(missing)}. Run `snakemake` first.")


def damaged_results(found: Iterable[Path]) -> tuple[Damage, list[str]]:
    """Return the results that do not match their receipts, with the reason, and messages about unreadable results."""
    damaged: Damage = []
    unreadable: list[str] = []
    for receipt in found:
        try:
            changed = receipts.damage(receipt)
            changed = changed or damaged_shards_of(receipt)
        except UnreadableError as error:
            unreadable.append(str(error))
            continue
        logger.info("%s: %s", receipt, f"{len(changed)} files changed" if changed else "no file changed")
        damaged += changed
    return damaged, unreadable


def damaged_shards_of(receipt: Path) -> Damage:
    """Return the damaged shards of a step whose outputs are undamaged, and the results that depend on them.

    The results are removed as well, because the next run rebuilds shards only for missing results. Missing shards for
    downstream models are no damage: the user may have removed them to make room.
    """
    outputs = {path.name: path for path in receipts.recorded_outputs(receipt)}
    if "verified.json" in outputs:
        damaged = damaged_shards(outputs["verified.json"])
        return [*damaged, (receipt, "depends on damaged embeddings")] if damaged else []
    if "plan.json" in outputs:
        plan = outputs["plan.json"]
        shards = [path for group in Plan.read(plan).groups for path in group.files(plan.parent) if path.is_file()]
        damaged = [(path, problem) for path in shards if (problem := damage_of_shard(path))]
        dependent = sorted(receipt.parent.glob("predict-*.json")) if damaged else []
        return [*damaged, *((path, "depends on damaged embeddings") for path in dependent)]
    return []


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO):
        main()
