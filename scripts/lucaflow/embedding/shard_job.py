"""Run one embedding job: embed the sequences of a shard and write its file."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.checkpoints.loading import load_contact_head, load_encoder
from lucaflow.encoders.byte_pairs import BytePairs
from lucaflow.encoders.onednn import has_bfloat16
from lucaflow.engine.batches import plan_byte_pairs
from lucaflow.engine.consumer_thread import consume_in_background
from lucaflow.engine.devices import (
    DTYPE_OF_PRECISION,
    device_name,
    peak_memory,
    require_precision,
    resolve_device,
    set_matmul_precision,
)
from lucaflow.engine.engine import Engine
from lucaflow.engine.gpus import take_gpu
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.engine.pooling import EmbeddedBatch
from lucaflow.errors import StoreError
from lucaflow.files.locks import locked
from lucaflow.files.space import human_bytes, is_full_disk
from lucaflow.files.writing import publish
from lucaflow.progress import Progress
from lucaflow.records.sequences import NormalisedSequence, read_sequences
from lucaflow.store.format import SHARD_FORMAT, ShardContent, open_hdf5
from lucaflow.store.shards import ShardWriter

logger = logging.getLogger(__name__)

# Seconds to wait for another job that writes the same shard, for example of a Snakemake that was killed.
_LOCK_TIMEOUT = 600


class Computed(NamedTuple):
    """The residues that a job computed, and the seconds that it took, without loading the network."""

    residues: int
    seconds: float


def embed_shard(
    fasta: Path, output: Path, checkpoint: Path, options: EmbeddingOptions, device: str, tokens_per_batch: int | str
) -> Computed:
    """Embed the sequences of the shard `fasta` with a converted checkpoint, and write them to `output`.

    Rows are first written to a working file beside `output`; it gets its final name when it is complete. If this job is
    interrupted, the next one resumes from the working file.
    Rows of older shards are copied. A shard is older if the dataset is divided differently now, so that its FASTA file
    is not in the folder of `fasta`.
    Returns the residues computed by this job, without those of existing or copied rows.
    """
    resolved = resolve_device(device, options.precision)
    record = read_record(checkpoint)
    sequences = read_sequences(fasta)
    content = ShardContent(
        [sequence.digest for sequence in sequences],
        [len(sequence.residues) for sequence in sequences],
        options,
        record["network_sha256"],
        record["encoder"]["hidden_size"],
        _rows_of_byte_pairs(sequences, options, record),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    working = output.with_name(f".{output.name}.working")
    computed = Computed(0, 0.0)
    lock = output.with_name(f".{output.name}.lock")
    with locked(lock, f"embedding shard {output.stem}", required=False, timeout=_LOCK_TIMEOUT):
        with ShardWriter(working, content) as writer:
            if writer.complete.any():
                logger.info("%d of %d sequences are already embedded", writer.complete.sum(), len(sequences))
            reuse_rows(writer, _older_shards(output, fasta.parent))
            if not writer.complete.all():
                chosen = take_gpu(resolved)
                require_precision(chosen, options.precision)
                computed = _compute(sequences, writer, checkpoint, chosen, tokens_per_batch, output.stem)
        # Keep the working file until all results are verified: Snakemake may remove the output of a killed run's job.
        publish(working, output, keep=True)
    return computed


def _rows_of_byte_pairs(
    sequences: Sequence[NormalisedSequence], options: EmbeddingOptions, record: Mapping[str, Any]
) -> list[int] | None:
    """Return the rows of each matrix, without those of special tokens; None if each residue has a row.

    record: of the converted checkpoint.
    """
    tokenizer = record["encoder"].get("tokenizer")
    if tokenizer is None or "matrix" not in options.outputs:
        return None
    windows = [options.windowing.windows(len(sequence.residues)) for sequence in sequences]
    return [item.rows for item in plan_byte_pairs(sequences, windows, BytePairs(tokenizer)) if item.last]


def _older_shards(output: Path, sequences: Path) -> list[Path]:
    """Return the shards beside `output`, also unfinished ones, that have no FASTA file in the folder `sequences`."""
    finished = {path.stem: path for path in output.parent.glob("[!.]*.h5")}
    unfinished = {path.name[1:].split(".")[0]: path for path in output.parent.glob(".*.h5.working")}
    return [
        path for name, path in sorted((unfinished | finished).items()) if not (sequences / f"{name}.fasta").exists()
    ]


def reuse_rows(writer: ShardWriter, older: Iterable[Path]) -> None:
    """Copy rows of older shards with the same fingerprint. Rows that cannot be read are computed again."""
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
                    writer.reuse_rows(shard, here[order], there[order])
        except (StoreError, OSError, KeyError, RuntimeError) as error:
            if is_full_disk(error):
                raise
            logger.warning("Cannot reuse %s (%s); its sequences will be embedded again.", path, error)
    if writer.complete.sum() > before:
        logger.info("%d of %d sequences are reused from other shards", writer.complete.sum() - before, len(wanted))


def _compute(
    sequences: Sequence[NormalisedSequence],
    writer: ShardWriter,
    checkpoint: Path,
    device: torch.device,
    tokens_per_batch: int | str,
    name: str,
) -> Computed:
    """Embed the rows that are not complete, in the same batches as a job that starts without complete rows.

    name: of the shard, for the progress bar.
    """
    writer.device = device_name(device)
    engine = _load_engine(checkpoint, writer.content.options, device, writer.budget_for(tokens_per_batch))
    if tokens_per_batch == "auto":
        writer.record_budget(engine.budget)
    rows = np.flatnonzero(~writer.reused)
    complete = writer.complete[rows]
    lengths, _ = writer.content.options.windowing.counts(np.array(writer.content.lengths)[rows])
    progress = Progress(
        initial=int(lengths[complete].sum()), total=int(lengths.sum()), unit=" residues", desc=f"shard {name}"
    )
    started = time.monotonic()
    with progress:
        batches = engine.embed([sequences[row] for row in rows.tolist()], skip=complete)
        consume_in_background(partial(writer.write, rows=rows), _with_progress(batches, lengths, device, progress))
    seconds, residues = time.monotonic() - started, int(lengths[~complete].sum())
    logger.info(
        "%d sequences, %d residues in %.1f s: %.0f residues/s, %s of memory",
        (~complete).sum(), residues, seconds, residues / seconds, human_bytes(peak_memory(device)),
    )  # fmt: skip
    return Computed(residues, seconds)


def _with_progress(
    batches: Iterator[EmbeddedBatch], lengths: np.ndarray, device: torch.device, progress: Progress
) -> Iterator[EmbeddedBatch]:
    """Yield the batches and update the progress bar with their residues and the peak memory.

    lengths: (n,) embedded residues of each sequence.
    """
    for batch in batches:
        yield batch
        progress.set_postfix_str(f"{human_bytes(peak_memory(device))} of memory", refresh=False)
        progress.update(int(lengths[batch.sequences].sum()))


def _load_engine(
    checkpoint: Path, options: EmbeddingOptions, device: torch.device, tokens_per_batch: int | str
) -> Engine:
    """Load a checkpoint, log the device and its settings, and return the engine."""
    set_matmul_precision(options.precision)
    contact_head = load_contact_head(checkpoint, device) if "contacts" in options.outputs else None
    encoder = load_encoder(checkpoint, device, DTYPE_OF_PRECISION[options.precision])
    engine = Engine.sized(encoder, options, device, tokens_per_batch, contact_head)
    logger.info(
        "torch %s on %s, %d threads, %s, %d tokens a batch",
        torch.__version__, device_name(device), torch.get_num_threads(), options.precision, engine.budget,
    )  # fmt: skip
    if options.precision == "bfloat16" and device.type == "cpu" and not has_bfloat16():
        logger.info("this processor has no bfloat16 instructions that LucaFlow knows; float32 would be as fast")
    return engine
