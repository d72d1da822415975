"""A search by jobs: it is divided, interrupted, repeated and changed, and finds what one search finds."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass

import h5py
import numpy as np
import pytest
import torch

from lucaflow.errors import StoreError
from lucaflow.neighbours import search_job
from lucaflow.neighbours.approximate import recall_of
from lucaflow.neighbours.devices import OnTorch
from lucaflow.neighbours.nearest_file import Nearest, read_nearest, write_nearest
from lucaflow.neighbours.products import OnProcessor
from lucaflow.neighbours.search import nearest, rank_of
from lucaflow.neighbours.search_job import SearchJob, Source, name_of, remove_older
from lucaflow.records.outcomes import digest_of

K = 4


def sequences(count, start=0):
    """Return digests and vectors; every fourth vector is like the one before."""
    digests = np.array([digest_of("prot", f"M{'A' * number}") for number in range(start, start + count)], dtype="S64")
    vectors = np.array(
        [np.random.default_rng(number - number % 4 // 3).normal(5, 1, 24) for number in range(start, start + count)]
    )
    return digests, vectors.astype(np.float32)


@contextmanager
def opened(folder, digests, vectors):
    with h5py.File(folder / f"{name_of(digests)}.vectors", "w") as file:
        file["mean"] = vectors
        yield Source(file["mean"], digests, np.argsort(digests))


@dataclass
class Counting(OnProcessor):
    """Counts the pairs of vectors that are compared, and stops after so many products."""

    pairs: int = 0
    stop_after: int = 10**9

    def hits(self, queries, tile, *others):
        self.stop_after -= 1
        if self.stop_after < 0:
            raise KeyboardInterrupt
        self.pairs += len(queries) * len(tile)
        return super().hits(queries, tile, *others)


def shards_of(digests, count):
    return {name_of(part): part for part in np.array_split(np.sort(digests), count)}


def found_in(tmp_path, job, digests, shards):
    nothing = np.zeros(0, dtype=np.int64)
    write_nearest(
        tmp_path / "nearest.h5", Nearest(job.gathered(digests, shards), nothing, job.gathered(digests[:0], []))
    )
    return read_nearest(tmp_path / "nearest.h5").neighbours


@pytest.mark.parametrize(
    "products", [OnProcessor(tile=7, part=11, block_bytes=900), OnTorch(torch.device("cpu"), 16, 9)]
)
@pytest.mark.parametrize("jobs", [1, 5])
def test_divided_among_jobs_and_devices_it_finds_the_same(tmp_path, products, jobs):
    digests, vectors = sequences(60)
    with opened(tmp_path, digests, vectors) as source:
        shards = shards_of(digests, 5)
        for name, of_shard in [*shards.items()][: jobs - 1]:
            SearchJob(tmp_path / "f", name, source, K, lambda: products).run(source, {name: of_shard})
        job = SearchJob(tmp_path / "f", "all", source, K, lambda: products)
        job.run(source, shards)
        found = found_in(tmp_path, job, digests, shards)
    expected = nearest(vectors, K, rank=rank_of(np.argsort(digests)))
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.similarity, expected.similarity)
    assert (found.similarity[:, 0] == 1).sum() == 30, "half of the sequences have an equal one"


def test_an_interrupted_search_goes_on_and_a_finished_one_computes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(search_job, "_SAVED_EVERY", 0)
    digests, vectors = sequences(60)
    folder = tmp_path / "nearest" / ("0" * 12)
    shards = shards_of(digests, 3)
    with opened(tmp_path, digests, vectors) as source:
        # Two blocks of 30, each in 6 pieces.
        interrupted = Counting(tile=10, part=100, block_bytes=30 * (4 * 24 + 8 * K), stop_after=9)
        with pytest.raises(KeyboardInterrupt):
            SearchJob(folder, "all", source, K, lambda: interrupted).run(source, shards)
        assert not [*(folder).glob("[!.]*")], "no shard is finished"
        rest = Counting(tile=10, part=100, block_bytes=interrupted.block_bytes)
        job = SearchJob(folder, "all", source, K, lambda: rest)
        job.run(source, shards)
        assert (interrupted.pairs, rest.pairs) == (9 * 300, 3 * 300)
        found = found_in(tmp_path, job, digests, shards)
        np.testing.assert_array_equal(found.rows, nearest(vectors, K, rank=rank_of(np.argsort(digests))).rows)
        nothing = SearchJob(folder, "all", source, K, lambda: pytest.fail("a device is prepared for nothing"))
        nothing.run(source, shards)
        # Snakemake removes the results of a job that was killed.
        next((folder).glob("[!.]*.h5")).unlink()
        nothing.run(source, shards)
        remove_older(folder, shards)
        assert {path.name for path in (folder).iterdir()} == {f"{name}.h5" for name in shards}


def test_one_more_sequence_is_searched_alone_and_older_files_go(tmp_path):
    """In a reference that did not change, of which one sequence is in the dataset too."""
    digests, vectors = sequences(40)
    of_reference, searched = sequences(50, start=39)
    with opened(tmp_path, digests, vectors) as source, opened(tmp_path, of_reference, searched) as reference:
        before = shards_of(digests[:-1], 1)
        SearchJob(tmp_path / "f/a", "all", reference, K, OnProcessor).run(source, before)
        counting = Counting()
        job = SearchJob(tmp_path / "f/a", "all", reference, K, lambda: counting)
        job.run(source, shards_of(digests, 1))
        assert counting.pairs == 50
        found = found_in(tmp_path, job, digests, shards_of(digests, 1))
    assert 0 not in found.rows[39], "the sequence itself"
    shutil.copytree(tmp_path / "f/a", tmp_path / "f" / ("0" * 12))
    (tmp_path / "f/a").rename(tmp_path / "f" / ("1" * 12))
    (tmp_path / "f" / ("1" * 12) / "note.txt").touch()
    remove_older(tmp_path / "f" / ("1" * 12), shards_of(digests, 1))
    left = {path.relative_to(tmp_path / "f").as_posix() for path in (tmp_path / "f").rglob("*")}
    assert left == {"1" * 12, f"{'1' * 12}/note.txt", f"{'1' * 12}/{name_of(np.sort(digests))}.h5"}


def test_damaged_and_missing_results_are_searched_again_or_refused(tmp_path):
    digests, vectors = sequences(20)
    shards = shards_of(digests, 2)
    with opened(tmp_path, digests, vectors) as source:
        job = SearchJob(tmp_path, "all", source, K, OnProcessor)
        job.run(source, shards)
        expected = found_in(tmp_path, job, digests, shards)
        first, second = map(job.file_of, shards)
        for block in tmp_path.glob(".*.block"):
            block.unlink()
        content = bytearray(first.read_bytes())
        with h5py.File(first) as file:
            content[file["keys"].id.get_chunk_info(0).byte_offset] ^= 1
        first.write_bytes(content)
        second.write_bytes(second.read_bytes()[:1000])
        with pytest.raises(StoreError, match="its files lack neighbours of 20 sequences"):
            found_in(tmp_path, job, digests, shards)
        job.run(source, shards)
        np.testing.assert_array_equal(found_in(tmp_path, job, digests, shards).rows, expected.rows)


def test_an_approximate_search_is_the_same_each_time_and_nearly_the_exact_one(tmp_path):
    """What it finds has the similarity of the exact search, and equal vectors are in the same order."""
    pytest.importorskip("usearch", reason="the package usearch (extra `approximate`) is not installed")
    digests, vectors = sequences(800)
    shards = shards_of(digests, 3)
    exact = nearest(vectors, K, rank=rank_of(np.argsort(digests)))
    with opened(tmp_path, digests, vectors) as source:
        again = []
        for folder, threads in (("a", 1), ("b", 2)):
            job = SearchJob(tmp_path / folder, "all", source, K, lambda: pytest.fail("it is not exact"), threads)
            job.run(source, shards)
            again.append(found_in(tmp_path, job, digests, shards))
        found = again[0]
        np.testing.assert_array_equal(found.rows, again[1].rows)
        np.testing.assert_array_equal(found.similarity, again[1].similarity)
        recall = recall_of(found, exact)
        assert recall.mean() > 0.9
        same = found.rows[:, 0] == exact.rows[:, 0]
        np.testing.assert_array_equal(found.similarity[same, 0], exact.similarity[same, 0])
        assert (found.rows != np.arange(800)[:, None]).all(), "a sequence is not its own neighbour"
        write_nearest(tmp_path / "r.h5", Nearest(found, np.zeros(0, dtype=np.int64), again[1], recall))
        np.testing.assert_array_equal(read_nearest(tmp_path / "r.h5").recall, recall)
        # Of fewer sequences than are asked for.
        few = SearchJob(tmp_path / "few", "all", source, 2000, OnProcessor, 1)
        few.run(source, {name: of_shard[:3] for name, of_shard in shards.items()})
        name = next(iter(shards))
        assert (few.gathered(shards[name][:3], [name]).rows >= 0).sum(1).tolist() == [799] * 3
