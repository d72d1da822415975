"""One embedding job: from the sequences of a shard to its file."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lucaflow.checkpoints.converted import read_record
from lucaflow.checkpoints.loading import load_contact_head, load_encoder
from lucaflow.encoders.onednn import has_bfloat16
from lucaflow.engine.background import consume_in_background
from lucaflow.engine.devices import (
    ARITHMETIC,
    device_name,
    peak_memory,
    require_precision,
    resolve_device,
    set_arithmetic,
)
from lucaflow.engine.engine import Engine
from lucaflow.engine.gpus import take
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.engine.pooling import EmbeddedBatch
from lucaflow.errors import StoreError
from lucaflow.files.locks import locked
from lucaflow.files.space import human_bytes, is_full_disk
from lucaflow.files.writing import publish
from lucaflow.logs import Progress
from lucaflow.records.sequences import NormalisedSequence, read_sequences
from lucaflow.store.format import SHARD_FORMAT, open_hdf5
from lucaflow.store.shards import ShardContent, ShardWriter

logger = logging.getLogger(__name__)

# Seconds to wait for another job at the same shard, of a Snakemake that was killed.
_PATIENCE = 600


class Computed(NamedTuple):
    """What a job computed, and in how many seconds, the loading of the network not included."""

    residues: int
    seconds: float


def embed_shard(
    fasta: Path, output: Path, checkpoint: Path, options: EmbeddingOptions, device: str, tokens_per_batch: int | str
) -> Computed:
    """Embed the sequences of a shard with a converted checkpoint; the file gets its name when it is complete.

    Returns what was computed: not the sequences that were there already, or are copied.
    Until then it stands beside `output` as a working file, from which the next job goes on if this one does not end.
    What another shard has that the dataset is no longer divided into (its sequences lie not beside `fasta`) is copied.
    """
    resolved = resolve_device(device, options.precision)
    record = read_record(checkpoint)
    sequences = read_sequences(fasta)
    content = ShardContent(
        [sequence.digest for sequence in sequences],
        [len(sequence.residues) for sequence in sequences],
        options,
        record["model"]["sha256"],
        record["encoder"]["hidden_size"],
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    working = output.with_name(f".{output.name}.working")
    computed = Computed(0, 0.0)
    lock = output.with_name(f".{output.name}.lock")
    with locked(lock, f"embedding shard {output.stem}", always=False, patience=_PATIENCE):
        with ShardWriter(working, content) as writer:
            if writer.complete.any():
                logger.info("%d of %d sequences are there already", writer.complete.sum(), len(sequences))
            take_over(writer, _older_shards(output, fasta.parent))
            if not writer.complete.all():
                free = take(resolved)
                require_precision(free, options.precision)
                computed = _compute(sequences, writer, checkpoint, free, tokens_per_batch, output.stem)
        # The working file stays until all is verified: Snakemake may take away what a job of a killed run made.
        publish(working, output, keep=True)
    return computed


def _older_shards(output: Path, sequences: Path) -> list[Path]:
    """Return the shards beside `output`, and unfinished ones, whose sequences are no longer in their folder."""
    finished = {path.stem: path for path in output.parent.glob("[!.]*.h5")}
    unfinished = {path.name[1:].split(".")[0]: path for path in output.parent.glob(".*.h5.working")}
    return [
        path for name, path in sorted((unfinished | finished).items()) if not (sequences / f"{name}.fasta").exists()
    ]


def take_over(writer: ShardWriter, older: Iterable[Path]) -> None:
    """Copy what older shards have of the same embedding. What cannot be read of them is left to be computed."""
    wanted = np.array(writer.content.digests, dtype="S64")
    before = writer.complete.sum()
    for path in older:
        try:
            with open_hdf5(path, SHARD_FORMAT, locking=False) as shard:
                if shard.attrs["fingerprint"] != writer.content.attributes["fingerprint"]:
                    continue
                _, here, there = np.intersect1d(wanted, shard["digests"][:], return_indices=True)
                order = np.argsort(here)
                order = order[~writer.complete[here[order]] & (shard["checksums"][:][there[order]] != 0)]
                if len(order):
                    writer.take_over(shard, here[order], there[order])
        except (StoreError, OSError, KeyError, RuntimeError) as error:
            if is_full_disk(error):
                raise
            logger.warning("%s is of no use, and what it has is computed again (%s)", path, error)
    if writer.complete.sum() > before:
        logger.info("%d of %d sequences are taken over from other shards", writer.complete.sum() - before, len(wanted))


def _compute(
    sequences: Sequence[NormalisedSequence],
    writer: ShardWriter,
    checkpoint: Path,
    device: torch.device,
    tokens_per_batch: int | str,
    name: str,
) -> Computed:
    """Embed what is not complete, in the batches of a job that nothing was complete for when it began."""
    writer.device = device_name(device)
    measured = writer.measured_budget if tokens_per_batch == "auto" else None
    engine = _engine(checkpoint, writer.content.options, device, measured or tokens_per_batch)
    if tokens_per_batch == "auto":
        writer.measured_budget = engine.budget
    rows = np.flatnonzero(~writer.taken_over)
    known = writer.complete[rows]
    lengths, _ = writer.content.options.windowing.counts(np.array(writer.content.lengths)[rows])
    progress = Progress(
        initial=int(lengths[known].sum()), total=int(lengths.sum()), unit=" residues", desc=f"shard {name}"
    )
    started = time.monotonic()
    with progress:
        batches = engine.embed([sequences[row] for row in rows.tolist()], known)
        consume_in_background(partial(writer.write, rows=rows), _followed(batches, lengths, device, progress))
    seconds, residues = time.monotonic() - started, int(lengths[~known].sum())
    logger.info(
        "%d sequences, %d residues in %.1f s: %.0f residues/s, %s of memory",
        (~known).sum(), residues, seconds, residues / seconds, human_bytes(peak_memory(device)),
    )  # fmt: skip
    return Computed(residues, seconds)


def _followed(
    batches: Iterator[EmbeddedBatch], lengths: np.ndarray, device: torch.device, progress: Progress
) -> Iterator[EmbeddedBatch]:
    """Pass batches on, and say how many residues (n,) of each sequence are done, and with how much memory."""
    for batch in batches:
        yield batch
        progress.set_postfix_str(f"{human_bytes(peak_memory(device))} of memory", refresh=False)
        progress.update(int(lengths[batch.sequences].sum()))


def _engine(checkpoint: Path, options: EmbeddingOptions, device: torch.device, tokens_per_batch: int | str) -> Engine:
    """Load a checkpoint and say what computes."""
    set_arithmetic(options.precision)
    contact_head = load_contact_head(checkpoint, device) if "contacts" in options.outputs else None
    encoder = load_encoder(checkpoint, device, ARITHMETIC[options.precision])
    engine = Engine.sized(encoder, options, device, tokens_per_batch, contact_head)
    logger.info(
        "torch %s on %s, %d threads, %s, %d tokens a batch",
        torch.__version__, device_name(device), torch.get_num_threads(), options.precision, engine.budget,
    )  # fmt: skip
    if options.precision == "bfloat16" and device.type == "cpu" and not has_bfloat16():
        logger.info("this processor has no bfloat16 instructions known to LucaFlow: float32 would be as fast")
    return engine
