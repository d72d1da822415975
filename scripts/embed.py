"""Embed the sequences of one shard."""

import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from lucaflow.background import consume_in_background
from lucaflow.checkpoints import Model, converted_folder, read_record
from lucaflow.devices import (
    ARITHMETIC,
    device_name,
    peak_memory,
    resolve_device,
    set_arithmetic,
)
from lucaflow.engine import Engine
from lucaflow.files import human_bytes, replacing
from lucaflow.loading import load_contact_head, load_encoder
from lucaflow.logs import Progress, reporting_to
from lucaflow.pooling import EmbeddedBatch
from lucaflow.products import has_bfloat16
from lucaflow.sequences import read_sequences
from lucaflow.settings import EmbeddingOptions
from lucaflow.store import shard_attributes, write_shard

logger = logging.getLogger("lucaflow")

CLONE = Path(snakemake.scriptdir).parent


def main() -> None:
    """Load the checkpoint, embed, and write the shard under its final name when it is complete."""
    torch.set_num_threads(snakemake.threads)
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    compute = snakemake.config["compute"]
    device = resolve_device(compute["device"], options.precision)
    set_arithmetic(options.precision)
    # Not an input: where a checkpoint is kept is no reason to embed again.
    folder = converted_folder(Model(*snakemake.params.model), snakemake.config["checkpoints"], CLONE)
    record = read_record(folder)
    sequences = read_sequences(Path(snakemake.input[0]) / f"{snakemake.wildcards.shard}.fasta")
    contact_head = load_contact_head(folder, device) if "contacts" in options.outputs else None
    encoder = load_encoder(folder, device, ARITHMETIC[options.precision])
    hidden_size = encoder.config.hidden_size
    engine = Engine.sized(encoder, options, device, compute["tokens_per_batch"], contact_head)
    logger.info(
        "torch %s on %s, %d threads, %s, %d tokens a batch",
        torch.__version__, device_name(device), torch.get_num_threads(), options.precision, engine.budget,
    )  # fmt: skip
    if options.precision == "bfloat16" and device.type == "cpu" and not has_bfloat16():
        logger.info("this processor has no bfloat16 instructions known to LucaFlow: float32 would be as fast")
    lengths = [len(sequence.residues) for sequence in sequences]
    started = time.monotonic()
    with replacing(Path(snakemake.output[0])) as temporary:
        write = partial(
            write_shard,
            temporary,
            shard_attributes(options, record["model"]["sha256"], hidden_size, device_name(device)),
            [sequence.digest for sequence in sequences],
            lengths,
            options,
            hidden_size,
        )
        consume_in_background(write, followed(engine.embed(sequences), lengths, device))
    seconds = time.monotonic() - started
    logger.info(
        "%d sequences, %d residues in %.1f s: %.0f residues/s, %s of memory",
        len(sequences), sum(lengths), seconds, sum(lengths) / seconds, human_bytes(peak_memory(device)),
    )  # fmt: skip


def followed(batches: Iterator[EmbeddedBatch], lengths: Sequence[int], device: torch.device) -> Iterator[EmbeddedBatch]:
    """Pass batches on, and say how many residues are done, how fast, and with how much memory."""
    with Progress(total=sum(lengths), unit=" residues", desc=f"shard {snakemake.wildcards.shard}") as progress:
        for batch in batches:
            yield batch
            progress.set_postfix_str(f"{human_bytes(peak_memory(device))} of memory", refresh=False)
            progress.update(sum(lengths[batch.start : batch.stop]))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
