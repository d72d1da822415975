"""Rows of an older shard with the same fingerprint are copied, not computed."""

from __future__ import annotations

import logging
import re

import h5py
import numpy as np
import pytest

from lucaflow.embedding.shard_job import embed_shard
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.outcomes import digest_of

PROTEINS = ["MKVLAWRRKLAW", "MWWKKLLA", "MACDEFGHIK", "MSTVWY", "MK"]
OPTIONS = EmbeddingOptions(outputs=("mean", "matrix"))


@pytest.fixture
def embed(golden_checkpoints, tmp_path, caplog):
    """Return a function that embeds sequences into a named shard, and removes the sequences of replaced shards."""
    caplog.set_level(logging.INFO, logger="lucaflow")
    folder = tmp_path / "shards"
    folder.mkdir()

    def embedded(name, sequences, chosen=OPTIONS, replaced=()):
        for other in replaced:
            (tmp_path / f"{other}.fasta").unlink()
        fasta = tmp_path / f"{name}.fasta"
        ordered = sorted(sequences, key=len, reverse=True)
        fasta.write_text("".join(f">{digest_of('prot', text)} prot\n{text}\n" for text in ordered))
        caplog.clear()
        checkpoint = golden_checkpoints["T1"].folder
        embedded.residues = embed_shard(fasta, folder / f"{name}.h5", checkpoint, chosen, "cpu", 2048).residues
        return folder / f"{name}.h5", caplog.text

    return embedded


def rows(path):
    """Return vector and matrix of each sequence, and whether they were reused."""
    with h5py.File(path) as file:
        digests = file["digests"].asstr()[:].tolist()
        both = {digest: (file["mean"][row], file[f"matrix/{digest}"][:]) for row, digest in enumerate(digests)}
        return both, dict(zip(digests, file["taken_over"][:].tolist(), strict=True))


def test_one_more_sequence_computes_that_one(embed):
    older, said = embed("older", PROTEINS)
    assert "reused" not in said
    newer, said = embed("newer", [*PROTEINS, "MFFFWW"], replaced=["older"])
    assert "5 of 6 sequences are reused from other shards" in said
    assert "1 sequences, 6 residues" in said
    before, after = rows(older)[0], rows(newer)
    assert [digest for digest, reused in after[1].items() if not reused] == [digest_of("prot", "MFFFWW")]
    for digest, arrays in before.items():
        assert all(np.array_equal(one, other) for one, other in zip(arrays, after[0][digest], strict=True))
    alone, _ = embed("alone", ["MFFFWW"])
    digest = digest_of("prot", "MFFFWW")
    for one, other in zip(rows(alone)[0][digest], after[0][digest], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_shard_of_what_two_older_ones_had_needs_no_network(embed):
    embed("one", PROTEINS[:2])
    embed("two", PROTEINS[1:])
    joined, said = embed("joined", PROTEINS, replaced=["one", "two"])
    assert "5 of 5 sequences are reused" in said
    assert "torch" not in said
    assert embed.residues == 0
    assert all(rows(joined)[1].values())


def test_what_is_still_current_is_not_looked_into(embed):
    embed("other", PROTEINS)
    _, said = embed("new", PROTEINS[:2])
    assert "reused" not in said


def test_other_embeddings_are_not_reused(embed):
    embed("older", PROTEINS)
    _, said = embed("newer", PROTEINS, EmbeddingOptions(outputs=("mean", "matrix"), layer=1), replaced=["older"])
    assert "reused" not in said


@pytest.mark.parametrize("damage", ["a flipped byte", "cut short", "no HDF5"])
def test_what_is_damaged_is_computed_again(embed, damage):
    older, _ = embed("older", PROTEINS)
    before, _ = rows(older)
    content = bytearray(older.read_bytes())
    with h5py.File(older) as file:
        place = file[f"matrix/{digest_of('prot', 'MK')}"].id.get_offset()
    content[place] ^= 1
    older.write_bytes({"a flipped byte": content, "cut short": content[: place - 9], "no HDF5": b"x"}[damage])
    newer, said = embed("newer", PROTEINS, replaced=["older"])
    assert re.search(r"Cannot reuse \S+older\.h5 \(.+\); its sequences will be embedded again\.", said, re.DOTALL)
    after, reused = rows(newer)
    assert not any(reused.values())
    for digest, arrays in before.items():
        assert all(np.array_equal(one, other) for one, other in zip(arrays, after[digest], strict=True))
