"""Checksums of matrices that are written in pieces."""

import h5py
import numpy as np
import pytest
from small_store import CHECKPOINT, DIGESTS, OPTIONS

from lucaflow.engine.engine import EmbeddedBatch, Piece
from lucaflow.store.checksums import checksums_of_rows, matches_checksum, matrix_checksum
from lucaflow.store.format import ShardContent, create_empty_shard
from lucaflow.store.shards import ShardWriter


@pytest.mark.parametrize("width", [4, 5])
def test_a_checksum_sees_every_bit(width):
    rows = np.random.default_rng(0).standard_normal((4, width)).astype(np.float32)
    found = {0, int(matrix_checksum(checksums_of_rows(rows)))}
    for place in range(8 * rows.nbytes):
        octets = bytearray(rows.tobytes())
        octets[place // 8] ^= 1 << place % 8
        damaged = np.frombuffer(bytes(octets), np.float32).reshape(rows.shape)
        found.add(int(matrix_checksum(checksums_of_rows(damaged))))
    others = [rows[::-1], rows[:, ::-1], rows[:-1], np.zeros_like(rows), np.zeros_like(rows[:-1])]
    found |= {int(matrix_checksum(checksums_of_rows(other))) for other in others}
    assert len(found) == 8 * rows.nbytes + len(others) + 2


def piece(rows, start, stop):
    return Piece("matrix", 0, len(rows), start, rows[start:stop])


def write(path, *pieces):
    """Write the pieces of one sequence, one batch each; the last batch completes the sequence."""
    with ShardWriter(path, ShardContent(DIGESTS[:1], [5], OPTIONS, CHECKPOINT, 4), "cpu") as writer:
        for number, one in enumerate(pieces, start=1):
            here = np.arange(number // len(pieces))
            counts = np.full(len(here), 5)
            means = np.ones((len(here), 4), dtype=np.float32)
            writer.write([EmbeddedBatch(here, counts, np.ones_like(counts), {"mean": means}, [one])])


def test_a_checksum_does_not_depend_on_the_pieces(tmp_path):
    rows = np.random.default_rng(0).standard_normal((5, 4), dtype=np.float32)
    write(tmp_path / "whole.h5", piece(rows, 0, 5))
    write(tmp_path / "pieces.h5", piece(rows, 3, 5), piece(rows, 0, 1), piece(rows, 1, 3))
    assert (tmp_path / "whole.h5").read_bytes() == (tmp_path / "pieces.h5").read_bytes()
    with h5py.File(tmp_path / "whole.h5") as file:
        dataset = file[f"matrix/{DIGESTS[0]}"]
        assert dataset.attrs["checksum"].dtype == np.uint64
        assert matches_checksum(dataset)


def test_a_matrix_with_a_missing_piece_is_not_sound(tmp_path):
    """Not even if the rows that were never written are zeros, as their place in the file is."""
    rows = np.zeros((5, 4), dtype=np.float32)
    write(tmp_path / "short.h5", piece(rows, 0, 2), piece(rows, 2, 4))
    content = ShardContent(DIGESTS[:1], [5], OPTIONS, CHECKPOINT, 4)
    create_empty_shard(tmp_path / "empty.h5", content)
    for name in ("short.h5", "empty.h5"):
        with h5py.File(tmp_path / name) as file:
            assert not matches_checksum(file[f"matrix/{DIGESTS[0]}"])
    with ShardWriter(tmp_path / "short.h5", content, "cpu") as writer:
        assert not writer.complete.any()
        writer.write(
            [EmbeddedBatch(np.arange(1), np.array([5]), np.array([1]), {"mean": np.ones((1, 4))}, [piece(rows, 0, 5)])]
        )
