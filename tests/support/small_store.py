"""The records, sequences and batches of a small store, and functions that write and damage its shards."""

from __future__ import annotations

import h5py
import numpy as np

from lucaflow.engine.engine import EmbeddedBatch, Piece
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.outcomes import digest_of
from lucaflow.store.format import ShardContent
from lucaflow.store.shards import ShardWriter

OPTIONS = EmbeddingOptions(("mean", "matrix"))
CHECKPOINT = "c" * 64
FINGERPRINT = OPTIONS.fingerprint(CHECKPOINT)
ATTRIBUTES = {
    "dataset": "d",
    "llm_version": "lucaone",
    "llm_step": 1,
    "checkpoint_sha256": CHECKPOINT,
    "fingerprint": FINGERPRINT,
}
RESIDUES = ["MKVLA", "MK", "W"]
DIGESTS = [digest_of("prot", residues) for residues in RESIDUES]
IDS = ["sp|P1|A/B", "001", ".", "a%2Fb", "again"]
ROWS = [0, 1, 2, 1, 0]


def batch(start, residues):
    matrices = [np.full((len(text), 4), len(text), dtype=np.float32) for text in residues]
    vectors = {"mean": np.array([matrix.mean(0) for matrix in matrices])}
    lengths = np.array([len(text) for text in residues])
    pieces = [Piece("matrix", start + i, len(matrix), 0, matrix) for i, matrix in enumerate(matrices)]
    return EmbeddedBatch(start + np.arange(len(residues)), lengths, np.ones_like(lengths), vectors, pieces)


def write_shard(path, digests, lengths, *batches):
    with ShardWriter(path, ShardContent(digests, lengths, OPTIONS, CHECKPOINT, 4), "cpu") as writer:
        writer.write(batches)


def flip_matrix(path):
    """Change one bit of a value, which stays finite."""
    with h5py.File(path, "r") as file:
        offset = file[f"matrix/{DIGESTS[0]}"].id.get_offset()
    with path.open("r+b") as raw:
        raw.seek(offset + 18)
        byte = raw.read(1)[0]
        raw.seek(offset + 18)
        raw.write(bytes([byte ^ 1]))


def swap_rows(path):
    with h5py.File(path, "r+") as file:
        matrix = file[f"matrix/{DIGESTS[0]}"]
        matrix[0], matrix[1] = matrix[1] + 1, matrix[0]
