"""How fast are matrices written while they are computed, and how fast is the full network loaded?"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import networks
import torch
from cases import SMALL, NotHere, arithmetic
from random_checkpoint import write_checkpoint

from lucaflow.checkpoints.converted_checkpoint import MODEL_NAME
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.engine.consumer_thread import consume_in_background
from lucaflow.engine.devices import DTYPE_OF_PRECISION
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.store.format import ShardContent
from lucaflow.store.shards import ShardWriter


def resident() -> float:
    """Return the GB of this process that are in main memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


def need_space(size: float) -> None:
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < size:
        raise NotHere(f"needs {size / 1e9:.0f} GB in {folder}; TMPDIR names another folder")


def pinned() -> str:
    """Return the peak of pinned memory, in words."""
    if not (torch.cuda.is_available() and hasattr(torch.cuda, "host_memory_stats")):
        return "pinned memory not known"
    peak = torch.cuda.host_memory_stats().get("allocated_bytes.peak", 0)
    return f"{peak / 1e9:.2f} GB pinned"


@contextmanager
def largest_resident() -> Iterator[list[float]]:
    """Yield a list that gets the largest resident size in GB of the block, sampled ten times a second."""
    found, ended = [resident()], threading.Event()

    def sample() -> None:
        while not ended.wait(0.1):
            found[0] = max(found[0], resident())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def matrices(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the rate of matrices in memory, and through the writer in float32 and in float16, as in a job."""
    on_gpu = device.type == "cuda"
    shape = networks.FULL if on_gpu else SMALL
    precision = "bfloat16"
    need_space(5e9 if on_gpu else 0)
    with arithmetic(precision, device):
        encoder = networks.prepare(networks.random_encoder(shape, device), precision)
        sequences = networks.proteins(1200 if on_gpu else 30)
        residues = sum(len(sequence.residues) for sequence in sequences)
        options = EmbeddingOptions(precision=precision, outputs=("mean", "matrix"))
        engine = Engine.sized(encoder, options, device, "auto")
        list(engine.embed(sequences[:20]))
        with largest_resident() as largest:
            taken = networks.seconds(lambda: sum(1 for _ in engine.embed(sequences)), device)
        name = f"matrices of {residues:,} residues, {shape.hidden_size} wide"
        yield (
            f"{name}, not written",
            f"{residues / taken:,.0f} residues/s, {largest[0]:.1f} GB resident, {pinned()}",
            True,
        )
        for dtype in ("float32", "float16"):
            with tempfile.TemporaryDirectory() as folder:
                yield (
                    f"{name}, written in {dtype}",
                    written(engine, replace(options, dtype=dtype), sequences, folder),
                    True,
                )


def written(engine: Engine, options: EmbeddingOptions, sequences: list[NormalisedSequence], folder: str) -> str:
    """Embed and write a shard as a job does, to the disk; return what was found, in words."""
    residues = [len(sequence.residues) for sequence in sequences]
    width = engine.encoder.config.hidden_size
    content = ShardContent([sequence.digest for sequence in sequences], residues, options, "", width)
    engine = Engine(engine.encoder, options, engine.device, engine.budget)
    path = Path(folder) / "shard.h5"
    with largest_resident() as largest:
        started = time.perf_counter()
        with ShardWriter(path, content, "") as writer:
            consume_in_background(writer.write, engine.embed(sequences))
            writer.make_durable()
        taken = time.perf_counter() - started
    rate = f"{sum(residues) / taken:,.0f} residues/s, {path.stat().st_size / taken / 1e6:,.0f} MB/s"
    return f"{rate}, {largest[0]:.1f} GB resident, {pinned()}"


def loading(device: torch.device) -> Iterator[tuple[str, str, bool]]:
    """Yield the seconds of loading a checkpoint of the full network that is in the page cache, and of a first batch."""
    on_gpu = device.type == "cuda"
    shape = networks.FULL if on_gpu else SMALL
    need_space(7e9 if on_gpu else 0)
    with tempfile.TemporaryDirectory() as name:
        folder = write_checkpoint(Path(name), shape.config)
        size = (folder / MODEL_NAME).stat().st_size
        for precision in ("bfloat16", "float32"):
            with arithmetic(precision, device):
                with largest_resident() as largest:
                    started = time.perf_counter()
                    encoder = load_encoder(folder, device, DTYPE_OF_PRECISION[precision])
                    loaded = networks.seconds(lambda: None, device) + time.perf_counter() - started
                engine = Engine.sized(encoder, networks.options(precision), device, "auto")
                first = networks.seconds(lambda engine=engine: list(engine.embed(networks.proteins(1))), device)
            found = f"{loaded:.1f} s, {size / loaded / 1e9:.2f} GB/s, {largest[0]:.1f} GB resident"
            yield f"{size / 1e9:.2f} GB into {precision}", f"{found}; first protein {first:.2f} s", True
            del encoder, engine
