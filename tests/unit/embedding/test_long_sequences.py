"""Sequences that are cut, or embedded in windows: embeddings.h5 and verified.json say so."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from lucaflow import open_embeddings
from lucaflow.embedding.shard_job import embed_shard
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.outcomes import digest_of
from lucaflow.store.assembly import AcceptedRecords, assemble
from lucaflow.store.verification import verified_report, verify_embeddings

PROTEINS = {"long": "MKVLAWRRKLAWQE" * 9, "middle": "MKVLAWRRKLAWQE", "short": "MKVLAW"}
LENGTHS = np.array([126, 14, 6])


@pytest.fixture
def embedded(golden_checkpoints, tmp_path):
    """Return what embeds the proteins as a run does; it returns the path of their embeddings, and the report."""

    def embed(options):
        fasta, shard, path = (tmp_path / name for name in ("a.fasta", "a.h5", "embeddings.h5"))
        digests = [digest_of("prot", text) for text in PROTEINS.values()]
        lines = zip(digests, PROTEINS.values(), strict=True)
        fasta.write_text("".join(f">{digest} prot\n{text}\n" for digest, text in lines))
        embed_shard(fasta, shard, golden_checkpoints["T1"].folder, options, "cpu", 2048)
        accepted = AcceptedRecords(list(PROTEINS), np.array(digests, dtype="S64"), LENGTHS, np.arange(3))
        with h5py.File(shard) as file:
            origin = {name: str(file.attrs[name]) for name in ("checkpoint_sha256", "fingerprint")}
        attributes = {"dataset": "d", "llm_version": "lucaone", "llm_step": 36000000, **origin}
        assemble(path, attributes, options, accepted, [shard])
        assert verify_embeddings(path, accepted, options, attributes, [shard]).describe() == ""
        return path, verified_report(path, accepted, options, fasta, [shard])

    return embed


def test_a_sequence_that_is_cut(embedded):
    options = EmbeddingOptions(
        outputs=("matrix",), embedding_complete=False, truncation_seq_length=10, trunc_type="left"
    )
    path, report = embedded(options)
    with open_embeddings(path) as embeddings:
        assert embeddings.file["lengths"][:].tolist() == [126, 14, 6]
        assert embeddings.file["residues_embedded"][:].tolist() == [10, 10, 6]
        assert [embeddings[name].shape for name in PROTEINS] == [(10, 32), (10, 32), (6, 32)]
    assert (report["truncated_sequences"], report["windowed_sequences"]) == (2, 0)


def test_a_sequence_in_windows(embedded):
    """Its pooled vector is that of its matrix."""
    options = EmbeddingOptions(outputs=("mean", "matrix"), embedding_fixed_len_a_time=20, stitching="centered")
    path, report = embedded(options)
    with open_embeddings(path) as embeddings:
        assert embeddings.file["windows"][:].tolist() == [12, 1, 1]
        assert embeddings.file["residues_embedded"][:].tolist() == [126, 14, 6]
        entry = embeddings["long"]
        assert entry["matrix"].shape == (126, 32)
        np.testing.assert_allclose(entry["mean"], entry["matrix"].mean(0), atol=1e-5)
    assert (report["truncated_sequences"], report["windowed_sequences"]) == (0, 1)
