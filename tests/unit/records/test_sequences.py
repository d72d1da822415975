"""Files of normalised sequences: a sequence is only read if it matches its digest."""

from __future__ import annotations

import pytest

from lucaflow.errors import StoreError
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sequences import (
    NormalisedSequence,
    Shard,
    read_sequences,
    read_shard_names,
    split_sequences,
    write_shard_table,
)

SEQUENCES = [("prot", "MKV"), ("gene", "ACGT")]


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard.fasta"
    path.write_text("".join(f">{digest_of(*each)} {each[0]}\n{each[1]}\n" for each in SEQUENCES))
    return path


def test_what_was_written_is_read(shard):
    assert read_sequences(shard) == [NormalisedSequence(digest_of(*each), *each) for each in SEQUENCES]


def test_no_flipped_bit_changes_a_sequence(shard):
    """All are errors, except those that turn the last line feed into another blank."""
    content, expected = shard.read_bytes(), read_sequences(shard)
    for place in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        shard.write_bytes(damaged)
        try:
            assert read_sequences(shard) == expected
        except StoreError as error:
            assert "Delete the file" in str(error)
        else:
            assert place // 8 == len(content) - 1


def test_a_shard_that_is_not_there(shard):
    shard.unlink()
    with pytest.raises(StoreError, match="is missing"):
        read_sequences(shard)


def test_the_table_of_shards(shard, tmp_path):
    """Tokens are residues with [CLS] and [SEP]."""
    shards = split_sequences(shard, tmp_path / "shards", shard_tokens=5)
    assert sorted(each[1:] for each in shards) == [(1, 5), (1, 6)]
    assert {path.stem for path in (tmp_path / "shards").glob("*.fasta")} == {each.name for each in shards}
    write_shard_table(tmp_path / "shards.tsv", [Shard("a", 2, 11), Shard("b", 1, 5)])
    assert (tmp_path / "shards.tsv").read_text() == "shard\tsequences\ttokens\na\t2\t11\nb\t1\t5\n"
    assert read_shard_names(tmp_path / "shards.tsv") == ["a", "b"]
