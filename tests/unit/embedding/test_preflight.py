"""What embedding takes, given what exists: finished shards, unfinished ones, and those of another division."""

from __future__ import annotations

import os
from collections import Counter

import h5py
import pytest
from small_store import CHECKPOINT, DIGESTS, OPTIONS, RESIDUES, batch, write_shard

from lucaflow.embedding.estimate import check_checkpoint
from lucaflow.embedding.preflight import lengths_to_compute, require_room, stored_bytes
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import ConfigError, SpaceError
from lucaflow.records.counts import Counts
from lucaflow.records.sequences import Shard, read_shard_names, shard_folder, write_shard_table
from lucaflow.store.format import ShardContent
from lucaflow.store.shards import ShardWriter

COUNTS = Counts(Counter(accepted=3), 0, 0, {5: 1, 2: 1, 1: 1})


@pytest.fixture
def dataset(tmp_path):
    """A table of two shards with their sequences, and the folder of their embeddings."""
    table, shards = tmp_path / "shards.tsv", tmp_path / "embedded"
    shards.mkdir()
    (tmp_path / "shards").mkdir()
    for name, rows in (("one", (0, 1)), ("two", (2,))):
        text = "".join(f">{DIGESTS[row]} prot\n{RESIDUES[row]}\n" for row in rows)
        (tmp_path / f"shards/{name}.fasta").write_text(text)
    write_shard_table(table, [Shard("one", 2, 11), Shard("two", 1, 3)])
    return table, shards


def remaining(table, shards):
    return lengths_to_compute(COUNTS.lengths, read_shard_names(table), shard_folder(table), shards)


def test_at_first_everything_is_to_compute_and_at_last_nothing(dataset):
    table, shards = dataset
    assert remaining(table, shards) == COUNTS.lengths
    assert remaining(table, shards / "not made yet") == COUNTS.lengths
    write_shard(shards / "one.h5", DIGESTS[:2], [5, 2], batch(0, RESIDUES[:2]))
    assert remaining(table, shards) == {1: 1}
    write_shard(shards / "two.h5", DIGESTS[2:], [1], batch(0, RESIDUES[2:]))
    assert remaining(table, shards) == {}


def test_rows_of_an_older_division_and_of_an_unfinished_shard_are_kept(dataset):
    table, shards = dataset
    write_shard(shards / "older.h5", [DIGESTS[0], DIGESTS[2]], [5, 1], batch(0, [RESIDUES[0], RESIDUES[2]]))
    assert remaining(table, shards) == {2: 1}
    (shards / "older.h5").unlink()
    content = ShardContent(DIGESTS[:2], [5, 2], OPTIONS, CHECKPOINT, 4)
    with pytest.raises(ZeroDivisionError), ShardWriter(shards / ".one.h5.working", content, "cpu") as writer:
        writer.write([batch(0, RESIDUES[:1])])
        raise ZeroDivisionError
    assert remaining(table, shards) == {2: 1, 1: 1}


def test_a_shard_that_cannot_be_read_keeps_nothing(dataset):
    table, shards = dataset
    (shards / "older.h5").write_text("not a shard")
    with h5py.File(shards / "other.h5", "w") as file:
        file.attrs["format"] = "another"
    assert remaining(table, shards) == COUNTS.lengths


def test_sequences_that_cannot_be_read_are_to_compute(dataset):
    table, shards = dataset
    write_shard(shards / "one.h5", DIGESTS[:2], [5, 2], batch(0, RESIDUES[:2]))
    for damage in ("not FASTA\n\n", None):
        path = shard_folder(table) / "two.fasta"
        path.unlink() if damage is None else path.write_text(damage)
        assert remaining(table, shards) == COUNTS.lengths


def test_a_file_with_two_names_takes_its_space_once(dataset):
    _, shards = dataset
    write_shard(shards / "one.h5", DIGESTS[:2], [5, 2], batch(0, RESIDUES[:2]))
    alone = stored_bytes(shards)
    assert alone >= 1024
    os.link(shards / "one.h5", shards / ".one.h5.working")
    assert stored_bytes(shards) == alone


def test_a_job_asks_for_the_space_of_the_whole_dataset(dataset):
    _, shards = dataset
    record = {"encoder": {"hidden_size": 4, "num_hidden_layers": 2}, "contact_head": False}
    require_room(COUNTS, OPTIONS, record, [], shards)
    huge = {**record, "encoder": {"hidden_size": 10**15}}
    with pytest.raises(SpaceError, match=r"the embeddings need .* more \(mean .*, matrix .*\), but the disk of"):
        require_room(COUNTS, OPTIONS, huge, [], shards)


def test_options_that_a_checkpoint_does_not_have():
    record = {"encoder": {"hidden_size": 4, "num_hidden_layers": 2}, "contact_head": False, "family": "esm2"}
    check_checkpoint(EmbeddingOptions(layer=2), record)
    with pytest.raises(ConfigError, match="layers 0 to 2"):
        check_checkpoint(EmbeddingOptions(layer=3), record)
    with pytest.raises(ConfigError, match="no contact head"):
        check_checkpoint(EmbeddingOptions(outputs=("contacts",)), record)
    with pytest.raises(ConfigError, match="maps by LucaOne's, which no published recipe trains"):
        check_checkpoint(EmbeddingOptions(outputs=("contacts",)), {**record, "contact_head": True, "family": "lucaone"})
