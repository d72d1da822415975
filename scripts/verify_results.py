"""Read all results again, name and remove those that changed since they were written.

The next run rebuilds the removed results.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from lucaflow.downstream.required_embeddings import Plan
from lucaflow.errors import StoreError, UnreadableError
from lucaflow.files import receipts
from lucaflow.logs import reporting_to
from lucaflow.records.sequences import damaged_sequences
from lucaflow.store.verification import damage_of_shard, damaged_shards

logger = logging.getLogger("lucaflow")

Damage = list[tuple[Path, str]]


def main() -> None:
    """Compare all results, and the models that they depend on, with their receipts, and read all shards."""
    folders = [Path(folder) for folder in snakemake.params.folders]
    found = [receipt for folder in (*folders, folders[0].parent) for receipt in receipts.receipts_in(folder)]
    found += [receipt for receipt in map(Path, snakemake.params.conversions) if receipt.is_file()]
    damaged, unreadable = damaged_results(found)
    unremoved = [problem for path, _ in damaged if (problem := remove(path))]
    messages = ["these files are damaged and could not be removed:\n  " + "\n  ".join(unremoved)] if unremoved else []
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
    expected = zip(snakemake.params.results, snakemake.params.receipts, strict=True)
    missing = [result for result, receipt in expected if not (Path(result).is_file() and Path(receipt).is_file())]
    if missing:
        raise StoreError(f"these results do not exist yet: {', '.join(missing)}. Run `snakemake` first.")


def damaged_results(found: Iterable[Path]) -> tuple[Damage, list[str]]:
    """Return the results that do not match their receipts, with the reason, and messages about unreadable results."""
    damaged: Damage = []
    unreadable: list[str] = []
    for receipt in found:
        try:
            if is_removed(receipt):
                logger.info("%s: all its files were removed", receipt)
                continue
            changed = receipts.damage(receipt)
            changed = changed or damaged_shards_of(receipt)
            changed += damaged_sequences_of(receipt)
        except UnreadableError as error:
            unreadable.append(str(error))
            continue
        logger.info("%s: %s", receipt, f"{len(changed)} files changed" if changed else "no file changed")
        damaged += changed
    return damaged, unreadable


def is_removed(receipt: Path) -> bool:
    """Return whether no output of a step exists, such as those of a task that is no longer asked for."""
    try:
        return not any(path.exists() for path in receipts.recorded_outputs(receipt))
    except StoreError:
        return False


def remove(path: Path) -> str:
    """Remove a file; return why it cannot be removed, or an empty text."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        return f"{path}: {error}"
    return ""


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
        try:
            groups = Plan.read(plan).groups
        except StoreError as error:
            return [(plan, str(error))]
        shards = [path for group in groups for path in group.files(plan.parent) if path.is_file()]
        receipts.require_no_links_out(plan.parent, shards)
        damaged = [(path, problem) for path in shards if (problem := damage_of_shard(path))]
        dependent = sorted(receipt.parent.glob("predict-*.json")) if damaged else []
        return [*damaged, *((path, "depends on damaged embeddings") for path in dependent)]
    return []


def damaged_sequences_of(receipt: Path) -> Damage:
    """Return the damaged FASTA files of shards that a step wrote; their names tell their content."""
    name = {"normalize": "sequences/shards", "plan": "heads/sequences"}.get(receipt.stem)
    if name is None:
        return []
    receipts.require_no_links_out(receipt.parents[1], [receipt.parents[1] / name])
    return damaged_sequences(receipt.parents[1] / name)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO):
        main()
