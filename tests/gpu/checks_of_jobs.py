"""Jobs on a device: cut off and resumed, short of memory, and beside other jobs."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from cases import CPU, LIMITS, ROOT, SMALL, Check, NotHere, checkpoint, error_of, need_gpus, proteins, within
from networks import random_encoder
from small_network import SOME, embedded, options

from lucaflow.checkpoints.loading import load_encoder
from lucaflow.embedding.shard_job import embed_shard
from lucaflow.encoders.lucaone import LucaOne
from lucaflow.engine.devices import bytes_per_token, token_budget
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import DeviceError

NAME = "a" * 16


class Cut(Exception):
    """Ends a job."""


class Job:
    """A shard in a folder of its own, whose batches fill the memory that the device has."""

    def __init__(self, folder: Path, weights: Path, device: torch.device, precision: str = "float32") -> None:
        folder.mkdir()
        self.output = folder / "shards" / f"{NAME}.h5"
        self.weights = weights
        self.device = device
        self.options = EmbeddingOptions(precision=precision, outputs=("mean", "max", "matrix"))
        # So many sequences that there are three batches or more with the budget of either device.
        count = 50 if device.type == "cpu" else 2600
        self.sequences = proteins(sorted((20 + 7 * number % 180 for number in range(count)), reverse=True))
        self.fasta = folder / f"{NAME}.fasta"
        self.fasta.write_text("".join(f">{each.digest} prot\n{each.residues}\n" for each in self.sequences))

    def run(self, cut_after: int | None = None) -> bytes:
        """Embed; return the bytes of the result. cut_after: the number of batches after which Cut is raised."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        # This process holds no GPU: its other jobs would wait for one.
        without_lock = patch("lucaflow.embedding.shard_job.take_gpu", lambda device: device)
        with without_lock, nullcontext() if cut_after is None else ending(cut_after):
            embed_shard(self.fasta, self.output, self.weights, self.options, self.device.type, "auto")
        return self.output.read_bytes()

    def cut(self, after: int) -> None:
        try:
            self.run(after)
        except Cut:
            assert not self.output.exists()
            return
        raise AssertionError(f"the job has fewer than {after} batches")


@contextlib.contextmanager
def ending(after: int) -> Iterator[None]:
    """End jobs, by raising Cut, when they ask for another batch after `after` batches."""
    embed = Engine.embed

    def ended(engine: Engine, *arguments: Any, **named: Any) -> Iterator[Any]:
        for number, batch in enumerate(embed(engine, *arguments, **named)):
            if number == after:
                raise Cut
            yield batch

    with patch.object(Engine, "embed", ended):
        yield


def cut_and_resumed(precision: str, device: torch.device, folder: Path) -> str:
    """A job that is cut off twice writes the bytes of one that is not."""
    if precision == "bfloat16" and device.type == "cuda" and torch.cuda.get_device_capability() < (8, 0):
        raise NotHere("this GPU has no bfloat16")
    whole, again = (Job(folder / name, checkpoint(folder), device, precision) for name in ("whole", "again"))
    expected = whole.run()
    again.cut(1)
    again.cut(1)
    assert again.run() == expected, "other bytes than those of a job that was not cut off"
    return f"{len(expected):,} bytes, the same"


def short_of_memory(device: torch.device, most_tokens: int, weights: Path) -> AbstractContextManager[Any]:
    """Let no batch of more than `most_tokens` tokens fit: on a GPU by a limit of its memory.

    A processor's memory cannot be limited so: there, the network raises the same error.
    """
    if device.type == "cuda":
        return limited_gpu(most_tokens, weights)
    forward = LucaOne.forward

    def short(encoder: LucaOne, ids: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        if len(ids) > most_tokens:
            raise torch.OutOfMemoryError
        return forward(encoder, ids, *arguments, **named)

    return patch.object(LucaOne, "forward", short)


@contextlib.contextmanager
def limited_gpu(most_tokens: int, weights: Path) -> Iterator[None]:
    """Limit torch's memory to that of the small network and a seventh more than so many tokens take."""
    device = torch.device("cuda")
    encoder = load_encoder(weights, device)
    lengths = [100] * (most_tokens // 100)
    ids = torch.full((sum(lengths),), 5, device=device)
    with torch.inference_mode():
        for _ in range(2):  # the first pass allocates workspaces, too
            torch.cuda.reset_peak_memory_stats()
            encoder(ids, ids.clamp(max=1), lengths)
    used, total = torch.cuda.max_memory_allocated(), torch.cuda.mem_get_info()[1]
    del encoder, ids
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(8 / 7 * used / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def halved_and_resumed(device: torch.device, folder: Path) -> str:
    """A job whose batches were halved for lack of memory ends in the same bytes if it resumes with more memory."""
    weights = checkpoint(folder)
    whole, again = (Job(folder / name, weights, device) for name in ("whole", "again"))
    full = 2048 if device.type == "cpu" else 65536
    with short_of_memory(device, int(0.7 * full), weights):
        expected = whole.run()
        again.cut(1)
    assert again.run() == expected, "other bytes than those of a job that was short of memory to its end"
    return f"{len(expected):,} bytes, the same"


def the_budget_fits(device: torch.device, _: Path) -> str:
    """The measured bytes of a token, and the budget that follows from the free memory."""
    need_gpus(device)
    encoder = random_encoder(SMALL, device)
    measured = bytes_per_token(encoder, device)
    assert measured is not None
    assert 4 * SMALL.hidden_size < measured < 400 * SMALL.hidden_size, measured
    free, _total = torch.cuda.mem_get_info()
    budget = token_budget("auto", device, measured)
    assert 1 <= budget <= free // measured
    return f"{measured:,} bytes a token, {budget:,} tokens a batch"


def batches_that_do_not_fit(device: torch.device, folder: Path) -> str:
    """A batch that does not fit is halved, and gives the same numbers; a sequence that does not fit alone is named."""
    weights = checkpoint(folder)
    size = 200 if device.type == "cpu" else 20_000
    many = proteins([size] * 16)
    encoder = load_encoder(weights, device)
    expected, _vectors = embedded(Engine(encoder, options(), device, 1), many)
    too_long = proteins([50 * size])
    with short_of_memory(device, 5 * size, weights):
        found, _vectors = embedded(Engine(encoder, options(), device, 10**9), many)
        try:
            list(Engine(encoder, options(), device, 1).embed(too_long))
        except DeviceError as error:
            assert f"{50 * size} residues" in str(error)
        else:
            raise AssertionError(f"{50 * size} residues fit")
    return within(error_of(found, expected), LIMITS["float32"])


def another_device(device: torch.device, folder: Path) -> str:
    """A network on the second GPU, while the first is torch's current one, gives the processor's numbers."""
    need_gpus(device, 2)
    weights = checkpoint(folder)
    second = torch.device("cuda", 1)
    expected, _vectors = embedded(Engine(load_encoder(weights), options(), CPU, 1), SOME)
    encoder = load_encoder(weights, second)
    assert torch.cuda.current_device() == 0
    # Many times, since the error is to read the results before they are there.
    errors = []
    for _ in range(50):
        found, _vectors = embedded(Engine(encoder, options(), second, 20), SOME)
        errors.append(error_of(found, expected))
    return within(max(errors), LIMITS["float32"])


_TAKE = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import torch
from lucaflow.engine.gpus import take_gpu
print(take_gpu(torch.device(sys.argv[2])), flush=True)
sys.stdin.read()
"""


def gpus_of_jobs(device: torch.device, _: Path) -> str:
    """Jobs that run at the same time take different GPUs."""
    need_gpus(device, 2)
    count = torch.cuda.device_count()
    command = [sys.executable, "-c", _TAKE, json.dumps([str(ROOT / "scripts")]), device.type]
    jobs = []
    try:
        for _ in range(count):
            jobs.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        taken = [job.stdout.readline().strip() for job in jobs if job.stdout]
    finally:
        for job in jobs:
            job.communicate("")
    assert len(set(taken)) == count, taken
    return f"{', '.join(sorted(taken))} by {count} jobs at once"


def pinned_results(device: torch.device, _: Path) -> str:
    """Results come through pinned buffers while the next batch is computed, and are those of a single batch."""
    need_gpus(device)
    encoder = random_encoder(SMALL, device)
    many = proteins([100] * 400)
    expected, _vectors = embedded(Engine(encoder, options(), device, 10**9), many)
    found, _vectors = embedded(Engine(encoder, options(), device, 1000), many)
    return within(error_of(found, expected), LIMITS["float32"])


def cast_matrices(device: torch.device, folder: Path) -> str:
    """Matrices that the device casts to float16 have the bits of those that are cast in main memory."""
    encoder = load_encoder(checkpoint(folder), device)
    many = proteins([100] * 4)

    def matrices(dtype: str) -> list[np.ndarray]:
        wanted = EmbeddingOptions(outputs=("matrix",), dtype=dtype)
        batches = Engine(encoder, wanted, device, 10**9).embed(many)
        return [piece.rows.astype(np.float16) for batch in batches for piece in batch.pieces]

    exact, cast = matrices("float32"), matrices("float16")
    assert all(np.array_equal(one, other) for one, other in zip(exact, cast, strict=True))
    return f"{sum(one.size for one in cast):,} numbers, the same"


_RUNS: dict[str, Callable[[torch.device, Path], str]] = {
    **{f"cut off twice and resumed, {name}": partial(cut_and_resumed, name) for name in ("float32", "bfloat16")},
    "the budget": the_budget_fits,
    "results of many batches": pinned_results,
    "matrices cast to float16": cast_matrices,
    "batches that do not fit": batches_that_do_not_fit,
    "halved for lack of memory, then resumed": halved_and_resumed,
    "a network on the second GPU": another_device,
    "GPUs of several jobs": gpus_of_jobs,
}
CHECKS = [Check(name, run) for name, run in _RUNS.items()]
