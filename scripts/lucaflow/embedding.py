"""One embedding job: from the sequences of a shard to its file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lucaflow.background import consume_in_background
from lucaflow.checkpoints import read_record
from lucaflow.devices import ARITHMETIC, device_name, peak_memory, resolve_device, set_arithmetic
from lucaflow.engine import Engine
from lucaflow.errors import StoreError
from lucaflow.files import human_bytes, replacing
from lucaflow.loading import load_contact_head, load_encoder
from lucaflow.logs import Progress
from lucaflow.pooling import EmbeddedBatch
from lucaflow.products import has_bfloat16
from lucaflow.sequences import NormalisedSequence, read_sequences
from lucaflow.settings import EmbeddingOptions
from lucaflow.store import SHARD_FORMAT, ShardWriter, open_hdf5, shard_attributes

logger = logging.getLogger(__name__)


def embed_shard(
    fasta: Path, output: Path, checkpoint: Path, options: EmbeddingOptions, device: str, tokens_per_batch: int | str
) -> None:
    """Embed the sequences of a shard with a converted checkpoint; the file gets its name when it is complete.

    What another shard has that the dataset is no longer divided into (its sequences lie not beside `fasta`) is copied.
    """
    resolved = resolve_device(device, options.precision)
    record = read_record(checkpoint)
    sequences = read_sequences(fasta)
    hidden_size = record["encoder"]["hidden_size"]
    attributes = shard_attributes(options, record["model"]["sha256"], hidden_size, device_name(resolved))
    digests = [sequence.digest for sequence in sequences]
    older = [path for path in sorted(output.parent.glob("*.h5")) if not (fasta.parent / f"{path.stem}.fasta").exists()]
    with replacing(output) as temporary:
        lengths = [len(sequence.residues) for sequence in sequences]
        with ShardWriter(temporary, attributes, digests, lengths, options, hidden_size) as writer:
            take_over(writer, older, attributes["fingerprint"])
            rest = np.flatnonzero(~writer.taken_over)
            if len(rest) < len(sequences):
                logger.info(
                    "%d of %d sequences are taken over from other shards", len(sequences) - len(rest), len(sequences)
                )
            if len(rest):
                engine = _engine(checkpoint, options, resolved, tokens_per_batch)
                _embed(
                    [sequences[row] for row in rest], engine, partial(writer.write, rows=rest), resolved, output.stem
                )


def take_over(writer: ShardWriter, older: Iterable[Path], fingerprint: str) -> None:
    """Copy what older shards have of the same embedding. What cannot be read of them is left to be computed."""
    wanted = np.array(writer.digests, dtype="S64")
    for path in older:
        try:
            with open_hdf5(path, SHARD_FORMAT) as shard:
                if shard.attrs["fingerprint"] != fingerprint:
                    continue
                _, here, there = np.intersect1d(wanted, shard["digests"][:], return_indices=True)
                order = np.argsort(here)[~writer.taken_over[np.sort(here)]]
                if len(order):
                    writer.take_over(shard, here[order], there[order])
        except (StoreError, OSError, KeyError, RuntimeError) as error:
            logger.warning("%s is of no use, and what it has is computed again (%s)", path, error)


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


def _embed(
    sequences: Sequence[NormalisedSequence],
    engine: Engine,
    write: Callable[[Iterator[EmbeddedBatch]], None],
    resolved: torch.device,
    name: str,
) -> None:
    """Embed sequences, and write them meanwhile; say how fast it went."""
    lengths = [len(sequence.residues) for sequence in sequences]
    started = time.monotonic()
    consume_in_background(write, _followed(engine.embed(sequences), lengths, resolved, name))
    seconds = time.monotonic() - started
    logger.info(
        "%d sequences, %d residues in %.1f s: %.0f residues/s, %s of memory",
        len(sequences), sum(lengths), seconds, sum(lengths) / seconds, human_bytes(peak_memory(resolved)),
    )  # fmt: skip


def _followed(
    batches: Iterator[EmbeddedBatch], lengths: Sequence[int], device: torch.device, name: str
) -> Iterator[EmbeddedBatch]:
    """Pass batches on, and say how many residues are done, how fast, and with how much memory."""
    with Progress(total=sum(lengths), unit=" residues", desc=f"shard {name}") as progress:
        for batch in batches:
            yield batch
            progress.set_postfix_str(f"{human_bytes(peak_memory(device))} of memory", refresh=False)
            progress.update(sum(lengths[batch.start : batch.stop]))
