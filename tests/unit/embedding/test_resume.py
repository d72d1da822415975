"""A job that resumes where another was cut off writes the same bytes, and trusts nothing that does not verify."""

from __future__ import annotations

import errno
import logging
import random
import stat
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from filelock import FileLock

from lucaflow.embedding.shard_job import Computed, embed_shard
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.outcomes import digest_of
from lucaflow.store.format import BUDGET_HALVED
from lucaflow.store.verification import remove_stale_shards

# Of a shard: only files with such names are removed.
NAME = "a" * 16

OPTIONS = EmbeddingOptions(outputs=("mean", "max", "matrix"))
WINDOWED = replace(OPTIONS, embedding_fixed_len_a_time=8)
BUDGET = 40


def proteins(count: int = 12) -> list[str]:
    draw = random.Random(3)
    return ["M" + "".join(draw.choices("DEFGHIKLMNPQRSVW", k=draw.randint(3, 30))) for _ in range(count)]


class Cut(Exception):
    """What cuts a job off."""


class Job:
    """A shard in a folder of its own, embedded as often as it takes."""

    def __init__(self, folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.checkpoint = checkpoint
        self.monkeypatch = monkeypatch
        self.output = folder / "shards" / f"{NAME}.h5"
        self.working = self.output.with_name(f".{NAME}.h5.working")
        self.launched: list[int] = []
        self.computed = Computed(0, 0.0)
        folder.mkdir(exist_ok=True)
        self.write(proteins())

    def write(self, sequences: list[str]) -> None:
        ordered = sorted(sequences, key=len, reverse=True)
        self.fasta = self.folder / f"{NAME}.fasta"
        self.fasta.write_text("".join(f">{digest_of('prot', text)} prot\n{text}\n" for text in ordered))

    def run(self, cut_at: int | None = None, chosen=OPTIONS, budget: int | str = BUDGET) -> bytes:
        """Embed, and note the lengths of the windows in each batch; cut off before the batch of number `cut_at`."""
        self.launched = []
        launch = Engine._launch

        def noted(engine, sequences, planned):
            if len(self.launched) == cut_at:
                raise Cut
            self.launched.append([item.window.length for item in planned])
            return launch(engine, sequences, planned)

        with self.monkeypatch.context() as patched:
            patched.setattr(Engine, "_launch", noted)
            self.computed = embed_shard(self.fasta, self.output, self.checkpoint, chosen, "cpu", budget)
        return self.output.read_bytes()

    def cut(self, number: int, chosen=OPTIONS, budget: int | str = BUDGET) -> None:
        with pytest.raises(Cut):
            self.run(number, chosen, budget)
        assert not self.output.exists()


@pytest.fixture
def job(golden_checkpoints, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="lucaflow")
    return lambda name: Job(tmp_path / name, golden_checkpoints["T1"].folder, monkeypatch)


@pytest.fixture(scope="module")
def uncut(golden_checkpoints, tmp_path_factory):
    """Return what runs a job that is not cut off; it returns its bytes, and its batches."""

    def run(**chosen):
        with pytest.MonkeyPatch.context() as patch:
            whole = Job(tmp_path_factory.mktemp("uncut"), golden_checkpoints["T1"].folder, patch)
            return whole.run(**chosen), whole.launched

    return run


@pytest.fixture(scope="module")
def undisturbed(uncut):
    return uncut()


@pytest.fixture(scope="module")
def undisturbed_windows(uncut):
    return uncut(chosen=WINDOWED, budget=24)


@pytest.mark.parametrize("number", range(6))
def test_a_job_goes_on_with_the_batch_it_was_cut_off_in(job, undisturbed, number):
    expected, batches = undisturbed
    assert len(batches) > 6
    again = job("again")
    again.cut(number)
    assert again.run() == expected
    assert again.launched == batches[number:]
    assert again.computed.residues == sum(map(sum, batches[number:]))
    assert again.computed.seconds > 0


def test_it_may_be_cut_off_again_and_again(job, undisturbed):
    expected, batches = undisturbed
    again = job("again")
    for _ in batches[:-1]:
        again.cut(1)
    assert again.run() == expected
    assert again.launched == batches[-1:]


@pytest.mark.parametrize("number", range(1, 20, 3))
def test_a_sequence_in_windows_begins_anew_in_the_same_batches(job, undisturbed_windows, number):
    expected, batches = undisturbed_windows
    again = job("again")
    again.cut(number, WINDOWED, budget=24)
    assert again.run(chosen=WINDOWED, budget=24) == expected
    # All batches are those of the whole job; at most those of one sequence, four, are computed once more.
    assert again.launched == batches[-len(again.launched) :]
    assert len(again.launched) < len(batches) - number + 5


@pytest.fixture
def short_memory(monkeypatch):
    """Return what makes memory too small for the batch of a number, in the jobs that run within it."""

    @contextmanager
    def short(number: int):
        launch, calls = Engine._launch, count()

        def launch_unless_short(engine, sequences, planned):
            if next(calls) == number:
                raise torch.OutOfMemoryError
            return launch(engine, sequences, planned)

        with monkeypatch.context() as patched:
            patched.setattr(Engine, "_launch", launch_unless_short)
            yield

    return short


@pytest.mark.parametrize(
    ("chosen", "budget", "number"), [(OPTIONS, 90, 0), (OPTIONS, 90, 1), (OPTIONS, "auto", 1), (WINDOWED, 24, 2)]
)
def test_a_job_whose_memory_was_too_small_goes_on_with_the_halved_batches(
    job, short_memory, monkeypatch, chosen, budget, number
):
    """Also where the next job has more memory: its values have the bits of the job that was not cut off."""
    monkeypatch.setattr("lucaflow.engine.devices.CPU_TOKENS_PER_BATCH", 90)
    whole = job("whole")
    with short_memory(number):
        expected = whole.run(chosen=chosen, budget=budget)
    largest = sum(length + 2 for length in whole.launched[number])
    assert max(sum(length + 2 for length in batch) for batch in whole.launched[number + 1 :]) <= largest // 2
    for cut_at in range(number + 2, len(whole.launched), max(2, len(whole.launched) // 4)):
        again = job(f"again-{cut_at}")
        with short_memory(number):
            again.cut(cut_at, chosen, budget)
        assert again.run(chosen=chosen, budget=budget) == expected
        assert again.launched == whole.launched[-len(again.launched) :]
    undisturbed = job("undisturbed")
    undisturbed.run(chosen=chosen, budget=budget)
    with h5py.File(whole.output) as one, h5py.File(undisturbed.output) as other:
        np.testing.assert_allclose(one["mean"][:], other["mean"][:], atol=1e-5)
        for digest, matrix in one["matrix"].items():
            np.testing.assert_allclose(matrix[:], other["matrix"][digest][:], atol=1e-5)


def test_a_smaller_number_that_is_asked_for_after_memory_was_too_small_counts(job, short_memory):
    again = job("again")
    with short_memory(0):
        again.cut(2, budget=90)
    again.run(budget=1)
    assert {len(batch) for batch in again.launched} == {1}


def test_a_working_file_of_an_older_version_is_resumed(job, undisturbed):
    """It does not say whether memory was too small."""
    _, batches = undisturbed
    again = job("again")
    again.cut(2)
    with h5py.File(again.working, "r+") as file:
        del file.attrs[BUDGET_HALVED]
    again.run()
    assert again.launched == batches[2:]


def test_what_is_there_is_said(job, caplog):
    again = job("again")
    again.cut(3)
    caplog.clear()
    again.run()
    assert "sequences are already embedded" in caplog.text


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as raw:
        raw.seek(place)
        byte = raw.read(1)[0]
        raw.seek(place)
        raw.write(bytes([byte ^ 1]))


@pytest.mark.parametrize(
    "array", ["mean", "max", "residues_embedded", "windows", "device", "taken_over", "checksums", "matrix"]
)
def test_a_changed_bit_is_computed_again(job, undisturbed, array):
    expected, batches = undisturbed
    again = job("again")
    again.cut(4)
    with h5py.File(again.working) as file:
        dataset = file[array] if array != "matrix" else file["matrix"][file["digests"].asstr()[0]]
        place = dataset.id.get_offset()
    flip(again.working, place)
    assert again.run() == expected
    assert again.launched == [batches[0], *batches[4:]]


def test_of_a_file_that_was_cut_short_the_rest_is_of_use_or_none(job, undisturbed):
    for share in (0, 0.001, 0.3, 0.9, 0.999):
        again = job(f"again-{share}")
        again.cut(5)
        with again.working.open("r+b") as raw:
            raw.truncate(int(again.working.stat().st_size * share))
        assert again.run() == undisturbed[0]


def test_each_byte_of_the_structure_may_be_wrong(job, undisturbed):
    """A crash of the machine may leave any part of the file old, or zero."""
    draw = random.Random(0)
    again = job("again")
    again.cut(4)
    content = again.working.read_bytes()
    for _ in range(12):
        damaged = bytearray(content)
        start = draw.randrange(len(content))
        damaged[start : start + 512] = bytes(len(damaged[start : start + 512]))
        again.working.write_bytes(damaged)
        assert again.run() == undisturbed[0], start
        again.output.unlink()


@pytest.mark.parametrize(
    "change", [{"layer": 1}, {"outputs": ("mean",)}, {"dtype": "float16"}, {"matrix_add_special_token": True}]
)
def test_what_was_made_with_other_options_is_of_no_use(job, change):
    chosen = replace(OPTIONS, **change)
    whole, again = job("whole"), job("again")
    expected = whole.run(chosen=chosen)
    again.cut(3)
    assert again.run(chosen=chosen) == expected
    assert again.launched == whole.launched


def test_other_sequences_of_the_same_name_are_no_beginning(job):
    whole, again = job("whole"), job("again")
    again.cut(3)
    for other in (whole, again):
        other.write(proteins(9))
    assert again.run() == whole.run()
    assert again.launched == whole.launched


def test_what_a_job_of_a_killed_run_made_is_not_made_again(job, undisturbed):
    """Snakemake removes a result that it does not know to be complete before it starts the job again."""
    again = job("again")
    again.run()
    again.output.unlink()
    assert again.run() == undisturbed[0]
    assert again.launched == []
    assert remove_stale_shards([again.output]) == [again.working.with_suffix(".lock"), again.working]


def test_what_another_job_works_at_stays(job):
    """Results that are there may be verified while other shards in the same folder are being embedded."""
    again = job("again")
    again.cut(3)
    finished = again.output.with_name("b.h5")
    with FileLock(again.working.with_suffix(".lock")):
        assert remove_stale_shards([finished]) == []
    assert again.working in remove_stale_shards([finished])


def test_a_full_disk_is_not_the_older_shards_fault(job, monkeypatch):
    again = job("again")
    again.write(proteins()[:5])
    again.run()
    again.output.rename(again.output.with_name("older.h5"))
    again.working.unlink()
    again.write(proteins())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lucaflow.store.shards.ShardWriter.reuse_rows", full)
    with pytest.raises(OSError, match="No space left"):
        again.run()
    assert again.launched == []


def test_rows_of_an_unfinished_shard_are_reused(job):
    """A record was added while the shard was being embedded."""
    again = job("again")
    again.cut(3)
    again.working.rename(again.working.with_name(".older.h5.working"))
    again.write([*proteins(), "MWWWWWWW"])
    again.run()
    with h5py.File(again.output) as file:
        reused = int(file["taken_over"][:].sum())
    assert 0 < reused == 13 - sum(map(len, again.launched))


def test_batches_of_automatic_size_stay_what_they_were(job, monkeypatch):
    whole, again = job("whole"), job("again")
    monkeypatch.setattr("lucaflow.engine.devices.CPU_TOKENS_PER_BATCH", 30)
    expected = whole.run(budget="auto")
    again.cut(3, budget="auto")
    # As if a GPU's memory were free that was taken before.
    monkeypatch.setattr("lucaflow.engine.devices.CPU_TOKENS_PER_BATCH", 3000)
    assert again.run(budget="auto") == expected
    assert again.launched == whole.launched[3:]


def test_a_size_that_is_asked_for_now_counts(job):
    again = job("again")
    again.cut(3)
    again.run(budget=1)
    assert {len(batch) for batch in again.launched} == {1}


def test_working_files_are_private_and_results_are_not(job):
    again = job("again")
    again.cut(2)
    assert stat.S_IMODE(again.working.stat().st_mode) == 0o600
    again.run()
    assert stat.S_IMODE(again.output.stat().st_mode) & 0o044


def test_reused_rows_stay_reused(job):
    """Cut off after some rows were copied and some computed, the plan of the rest is the same."""
    whole, again = job("whole"), job("again")
    for this in (whole, again):
        this.write(proteins()[:5])
        this.run()
        this.output.rename(this.output.with_name("older.h5"))
        this.write(proteins())
    expected = whole.run()
    assert len(whole.launched) > 2
    again.cut(1)
    assert again.run() == expected
    assert again.launched == whole.launched[1:]
    with h5py.File(again.output) as file:
        assert file["taken_over"][:].sum() == 5
        assert np.isfinite(file["mean"][:]).all()
