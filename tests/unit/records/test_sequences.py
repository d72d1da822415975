"""Files of normalised sequences: a sequence is only read if it matches its digest."""

from __future__ import annotations

import pytest

from lucaflow.errors import StoreError
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sequences import NormalisedSequence, read_sequences

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
            assert "Delete its folder" in str(error)
        else:
            assert place // 8 == len(content) - 1


def test_a_shard_that_is_not_there(shard):
    shard.unlink()
    with pytest.raises(StoreError, match="is missing"):
        read_sequences(shard)
