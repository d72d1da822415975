"""One embedding job: from the sequences of a shard to its file."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from lucaflow.background import consume_in_background
from lucaflow.checkpoints import read_record
from lucaflow.devices import ARITHMETIC, device_name, peak_memory, resolve_device, set_arithmetic
from lucaflow.engine import Engine
from lucaflow.files import human_bytes, replacing
from lucaflow.loading import load_contact_head, load_encoder
from lucaflow.logs import Progress
from lucaflow.pooling import EmbeddedBatch
from lucaflow.products import has_bfloat16
from lucaflow.sequences import read_sequences
from lucaflow.settings import EmbeddingOptions
from lucaflow.store import shard_attributes, write_shard

logger = logging.getLogger(__name__)


def embed_shard(
    fasta: Path, output: Path, checkpoint: Path, options: EmbeddingOptions, device: str, tokens_per_batch: int | str
) -> None:
    """Embed the sequences of a shard with a converted checkpoint; the file gets its name when it is complete."""
    resolved = resolve_device(device, options.precision)
    set_arithmetic(options.precision)
    record = read_record(checkpoint)
    sequences = read_sequences(fasta)
    contact_head = load_contact_head(checkpoint, resolved) if "contacts" in options.outputs else None
    encoder = load_encoder(checkpoint, resolved, ARITHMETIC[options.precision])
    hidden_size = encoder.config.hidden_size
    engine = Engine.sized(encoder, options, resolved, tokens_per_batch, contact_head)
    logger.info(
        "torch %s on %s, %d threads, %s, %d tokens a batch",
        torch.__version__, device_name(resolved), torch.get_num_threads(), options.precision, engine.budget,
    )  # fmt: skip
    if options.precision == "bfloat16" and resolved.type == "cpu" and not has_bfloat16():
        logger.info("this processor has no bfloat16 instructions known to LucaFlow: float32 would be as fast")
    lengths = [len(sequence.residues) for sequence in sequences]
    started = time.monotonic()
    with replacing(output) as temporary:
        write = partial(
            write_shard,
            temporary,
            shard_attributes(options, record["model"]["sha256"], hidden_size, device_name(resolved)),
            [sequence.digest for sequence in sequences],
            lengths,
            options,
            hidden_size,
        )
        consume_in_background(write, _followed(engine.embed(sequences), lengths, resolved, output.stem))
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
