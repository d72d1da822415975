import json
import resource
from pathlib import Path
from urllib.parse import unquote

import h5py
import numpy as np
import pytest
from small_store import ATTRIBUTES, DIGESTS, FINGERPRINT, IDS, OPTIONS, ROWS, batch, write_shard

from lucaflow.errors import StoreError
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sequences import split_sequences
from lucaflow.store.assembly import AcceptedRecords, assemble
from lucaflow.store.verification import verified_report, verify_embeddings


def test_the_format(result):
    path, _, _ = result
    with h5py.File(path) as file:
        assert file.attrs["format"] == "lucaflow-embeddings"
        assert dict(file.attrs).keys() == {
            "format", "format_version", "dataset", "llm_version", "llm_step", "checkpoint_sha256", "hidden_size",
            "options", "fingerprint", "lucaflow_version",
        }  # fmt: skip
        assert json.loads(file.attrs["options"])["outputs"] == ["mean", "matrix"]
        assert file["ids"].asstr()[:].tolist() == IDS
        assert file["sequence"][:].tolist() == ROWS
        assert file["digests"].dtype == "S64"
        assert [digest.decode() for digest in file["digests"]] == DIGESTS
        for name in ("lengths", "residues_embedded", "windows", "sequence"):
            assert file[name].dtype == np.int64
        assert file["lengths"][:].tolist() == [5, 2, 1]
        assert file["mean"].shape == (3, 4)
        assert sorted(map(unquote, file["matrix"])) == sorted(IDS)
        assert file["matrix/sp|P1|A%2FB"].shape == (5, 4)
        link = file["matrix"].get("001", getlink=True)
        assert (link.filename, link.path) == (f"shards/{FINGERPRINT[:12]}/one.h5", f"/matrix/{DIGESTS[1]}")


def test_shards_that_do_not_fit_are_refused(result):
    path, accepted, shards = result
    attributes = {"dataset": "d", "fingerprint": FINGERPRINT}
    before = path.read_bytes()
    with pytest.raises(StoreError, match="1 sequences are in no shard"):
        assemble(path, attributes, OPTIONS, accepted, shards[:1])
    with pytest.raises(
        StoreError, match=r"two\.h5 holds sequences that are not in records.tsv or are in another shard"
    ):
        assemble(path, attributes, OPTIONS, accepted, [*shards, shards[1]])
    with pytest.raises(StoreError, match="was made with other options"):
        assemble(path, {"fingerprint": "0"}, OPTIONS, accepted, shards)
    assert path.read_bytes() == before


def test_few_files_may_be_open(tmp_path):
    """Fewer than there are shards, while sequences are divided and embeddings are assembled and verified."""
    texts = ["M" * length for length in range(1, 101)]
    digests = [digest_of("prot", text) for text in texts]
    folder = tmp_path / "shards" / FINGERPRINT[:12]
    folder.mkdir(parents=True)
    shards = [folder / f"{digest[:16]}.h5" for digest in digests]
    for shard, text, digest in zip(shards, texts, digests, strict=True):
        write_shard(shard, [digest], [len(text)], batch(0, [text]))
    accepted = AcceptedRecords(texts, np.array(digests, dtype="S64"), np.arange(1, 101), np.arange(100))
    path, fasta = tmp_path / "embeddings.h5", tmp_path / "distinct.fasta"
    fasta.write_text("".join(f">{digest} prot\n{text}\n" for digest, text in zip(digests, texts, strict=True)))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/dev/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 10, limits[1]))
    try:
        assert len(split_sequences(fasta, tmp_path / "sequences", shard_tokens=1)) == len(shards)
        assemble(path, ATTRIBUTES, OPTIONS, accepted, shards)
        assert verify_embeddings(path, accepted, OPTIONS, ATTRIBUTES, shards).describe() == ""
        verified_report(path, accepted, OPTIONS, fasta, shards)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_unknown_digests_have_no_row():
    accepted = AcceptedRecords(["a"], np.array(DIGESTS[:1], dtype="S64"), np.array([5]), np.array([0]))
    assert accepted.find_rows(np.array(DIGESTS, dtype="S64")).tolist() == [0, -1, -1]
