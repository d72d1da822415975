"""Convert a model once, whichever run comes first, in a process that cannot take all memory.

The process alone imports torch.
"""

from __future__ import annotations

import logging
import multiprocessing
import resource
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.checksums import remove_damaged
from lucaflow.checkpoints.converted_checkpoint import (
    HEAD_ENTRY,
    HEAD_NAME,
    ModelSource,
    PublishedFiles,
    holds_recorded_weights,
    is_converted,
    lacks_head,
)
from lucaflow.checkpoints.fetched_record import LOCK_NAME
from lucaflow.errors import CheckpointError
from lucaflow.files.checksums import sha256_of
from lucaflow.files.locks import locked
from lucaflow.files.receipts import receipt_path
from lucaflow.files.space import explaining_a_full_disk, human_bytes

logger = logging.getLogger(__name__)

# Bytes that torch uses besides the weights, including the stacks of its threads.
_MEMORY_OF_TORCH = 8_000_000_000


def convert_source(source: ModelSource, digests: Mapping[str, str | None], needs_head: bool = False) -> None:
    """Convert a model from its source, unless that has been done. Fetched files are compared with their checksums.

    digests: SHA-256 of the files of a packaged model, by their names in its folder; needs_head: whether the head of its
    language model is used. Raises CheckpointError.
    """
    if not source.is_fetched:
        for name, digest in digests.items():
            if (found := sha256_of(source.root / name)) != digest:
                raise CheckpointError(f"{source.root / name} has SHA-256 {found}, expected {digest}. Clone again.")
        convert_once(source, convert_in_subprocess)
        return
    # The name of the folder tells the source and its revision.
    if holds_recorded_weights(source.folder) and not (needs_head and lacks_head(source.folder)):
        logger.info("%s was converted by an earlier run", source.name)
        return
    with locked(source.root / LOCK_NAME, f"fetching {source.name}"):
        remove_damaged(source.root)
        try:
            convert_once(source, convert_in_subprocess)
        except CheckpointError as error:
            hint = f"If the fetched files are damaged, delete {source.root} and run `snakemake fetch`."
            raise CheckpointError(f"{error} {hint}") from error


def convert_once(source: ModelSource, convert: Callable[[str, PublishedFiles, Path], dict[str, Any]]) -> None:
    """Convert the files of a source into its folder, unless it holds their conversion.

    If that was made without the head of the language model, the head is added.
    convert: called with the converter's module, the files and the folder.
    """
    files, folder = source.located(), source.folder
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", f"converting {source.name}"), explaining_a_full_disk(folder, "Nothing was converted"):
        if is_converted(files, folder):
            if source.head_converter and lacks_head(folder, read=True):
                receipt_path(folder, "convert").unlink(missing_ok=True)
                _say_head_was_added(source.name, convert(source.head_converter, files, folder)[HEAD_ENTRY])
            else:
                logger.info("%s was converted by another run", source.name)
            return
        receipt_path(folder, "convert").unlink(missing_ok=True)
        logger.info("converting %s into %s", source.name, folder)
        record = convert(source.converter, files, folder)
    logger.info("converted %s: %d parameters, sha256 %s", source.name, record["parameters"], record["network_sha256"])
    if left_out := record.get("left_out"):
        logger.info("left out, since embedding does not use them: tensors of %s", ", ".join(left_out))


def _say_head_was_added(name: str, entry: Mapping[str, Any]) -> None:
    """Say in the log that a model got the head of its language model, or why not. entry: of the head, in its record."""
    logger.info("%s has no sound head of its language model: an earlier version of LucaFlow left it out", name)
    if "reason" in entry:
        logger.info("it gets none: %s", entry["reason"])
    else:
        logger.info("added %s, sha256 %s; the encoder is as it was", HEAD_NAME, entry["sha256"])


def convert_in_this_process(converter: str, files: PublishedFiles, folder: Path) -> dict[str, Any]:
    """Convert files into a folder, and return the record. converter: the module whose `convert` does it."""
    record: dict[str, Any] = import_module(converter).convert(files, folder)
    return record


def convert_in_subprocess(converter: str, files: PublishedFiles, folder: Path) -> dict[str, Any]:
    """Do the same in a process of its own, with a memory limit that depends on the size of the files.

    Raises CheckpointError, also if that process is killed.
    """
    size = sum(path.stat().st_size for path in files.files)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_limit_memory, initargs=(3 * size + _MEMORY_OF_TORCH,)) as pool:
        try:
            return pool.submit(convert_in_this_process, converter, files, folder).result()
        except (BrokenProcessPool, MemoryError) as error:
            largest = max(files.files, key=lambda path: path.stat().st_size)
            raise CheckpointError(
                f"the process that read {largest.relative_to(files.root)} in {files.root} was ended "
                f"({type(error).__name__}), most likely for lack of memory: it needs about the size of the files, "
                f"{human_bytes(size)}. Run again where that much memory is free."
            ) from error


def _limit_memory(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
