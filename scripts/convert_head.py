"""Convert a trained downstream model to safetensors, once."""

import logging
from pathlib import Path

from lucaflow.errors import CheckpointError
from lucaflow.files import explaining_a_full_disk, locked, sha256_of
from lucaflow.head_conversion import convert_head
from lucaflow.logs import reporting_to
from lucaflow.published import LOCK_NAME, discard_damaged
from lucaflow.trained import HeadOrigin, locate_head

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Compare fetched and packaged files with their digests, and convert them."""
    head = snakemake.params.head
    folder = Path(snakemake.output.record).parent
    for file in head.place.files if head.source == "packaged" else ():
        if (found := sha256_of(head.root / file.name)) != file.sha256:
            raise CheckpointError(f"{head.root / file.name} has digest {found}, expected {file.sha256}. Clone again.")
    if not head.is_fetched:
        convert(head, folder)
        return
    with locked(head.root / LOCK_NAME, f"fetching {head.task.name}"):
        discard_damaged(head.root)
        try:
            convert(head, folder)
        except CheckpointError as error:
            hint = f"If it was fetched damaged, delete {head.root} and run `snakemake fetch`."
            raise CheckpointError(f"{error} {hint}") from error


def convert(head: HeadOrigin, folder: Path) -> None:
    with (
        locked(folder / ".lock", f"converting {head.task.name}"),
        explaining_a_full_disk(folder, "Nothing was converted"),
    ):
        trained = convert_head(locate_head(head.root, head.task), folder)
    logger.info("converted %s, trained on %s: %s", head.task.name, trained.reading.model.name, trained.structure)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
