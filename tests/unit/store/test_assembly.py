import json
from urllib.parse import unquote

import h5py
import numpy as np
import pytest
from small_store import DIGESTS, FINGERPRINT, IDS, OPTIONS, ROWS

from lucaflow.errors import StoreError
from lucaflow.store.assembly import AcceptedRecords, assemble


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


def test_unknown_digests_have_no_row():
    accepted = AcceptedRecords(["a"], np.array(DIGESTS[:1], dtype="S64"), np.array([5]), np.array([0]))
    assert accepted.find_rows(np.array(DIGESTS, dtype="S64")).tolist() == [0, -1, -1]
