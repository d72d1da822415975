import json
import multiprocessing
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_store import DIGESTS, IDS, flip_matrix, swap_rows

import lucaflow
from lucaflow.errors import StoreError
from lucaflow.store import linked_arrays
from lucaflow.store.embeddings import open_embeddings


def test_opening(result):
    path, _, shards = result
    with lucaflow.open_embeddings(path) as embeddings:
        assert len(embeddings) == 5
        assert list(embeddings) == IDS
        assert "001" in embeddings
        assert embeddings["001"]["matrix"].shape == (2, 4)
        np.testing.assert_array_equal(embeddings["001"]["mean"], [2, 2, 2, 2])
        frame = embeddings.to_frame()
        assert frame.index.tolist() == IDS
        assert frame.loc["again"].tolist() == [5, 5, 5, 5]
        with pytest.raises(KeyError):
            embeddings["nobody"]
        for read in (embeddings.to_frame, lambda output: embeddings.read(output, "001")):
            with pytest.raises(StoreError, match=r"there is no output 'max'; the outputs are mean, matrix"):
                read("max")
        with pytest.raises(StoreError, match=r"matrix is no vector, so it has no table; read it by id"):
            embeddings.to_frame("matrix")
    shards[1].unlink()
    with open_embeddings(path) as embeddings, pytest.raises(StoreError, match=r"two\.h5, which is missing"):
        embeddings["."]


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "damaged or cut short"), (b"not HDF5", "damaged or cut short"), (None, "missing")]
)
def test_other_files_are_not_opened_as_embeddings(tmp_path, content, words):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=words):
        open_embeddings(path)
    with h5py.File(path, "w"):
        pass
    with pytest.raises(StoreError, match="expected format lucaflow-embeddings 1, found None None"):
        open_embeddings(path)


def drop_checksum(path):
    with h5py.File(path, "r+") as file:
        del file[f"matrix/{DIGESTS[0]}"].attrs["checksum"]


@pytest.mark.parametrize("damage", [flip_matrix, swap_rows, drop_checksum])
def test_a_damaged_matrix_is_not_given_to_a_reader(result, damage):
    path, _, shards = result
    damage(shards[0])
    with open_embeddings(path) as embeddings:
        assert embeddings["001"]["matrix"].shape == (2, 4)
        damage = rf"one\.h5: /matrix/{DIGESTS[0]} is damaged: .*`snakemake verify` removes"
        with pytest.raises(StoreError, match=damage):
            embeddings["again"]


def test_an_unknown_id_is_answered_with_a_similar_one(result):
    with open_embeddings(result[0]) as embeddings:
        with pytest.raises(KeyError, match="there is no id 'gain'; a similar id is 'again'"):
            embeddings["gain"]
        with pytest.raises(KeyError, match=r"there is no id 'xyz'"):
            embeddings["xyz"]


def test_a_part_of_an_id_is_enough_where_one_id_has_it(result):
    with h5py.File(result[0], "r+") as file:
        file["ids"][1] = "tr|P1|C"
        file["ids"][4] = "tr|P10|C"
    with open_embeddings(result[0]) as embeddings:
        assert embeddings["A/B"]["matrix"].shape == (5, 4)
        assert embeddings.read("mean", "P10").tolist() == [5, 5, 5, 5]
        assert "P10" in embeddings
        assert "P10" not in list(embeddings)
        assert "P1" not in embeddings
        assert embeddings.get("tr") is None
        with pytest.raises(KeyError, match=r"no id 'P1', but 2 ids with this part: 'sp\|P1\|A/B', 'tr\|P1\|C'"):
            embeddings["P1"]


def test_one_output_is_an_array_and_has_its_name(result):
    with h5py.File(result[0], "r+") as file:
        file.attrs["options"] = json.dumps({**json.loads(file.attrs["options"]), "outputs": ["mean"]})
    with open_embeddings(result[0]) as embeddings:
        found = embeddings["again"]
    assert found["mean"].tolist() == found.tolist() == [5, 5, 5, 5]
    with pytest.raises(KeyError, match=r"there is no output 'matrix'; the only output is mean"):
        found["matrix"]
    # Anything else is as with a plain array.
    plain = np.ndarray
    for other in (found["mean"], found[1:], found + 1, found.mean(keepdims=True), pickle.loads(pickle.dumps(found))):
        assert type(other) is plain
    assert isinstance(found.sum(), np.float32)
    assert found[0] == 5


def test_some_rows_of_a_matrix(result):
    path, _, shards = result
    with open_embeddings(path) as embeddings:
        whole = embeddings.read("matrix", "again")
        for start, stop in ((0, None), (1, 3), (-2, None), (4, 9), (3, 1)):
            assert np.array_equal(embeddings.matrix("again", start, stop), whole[start:stop])
    flip_matrix(shards[0])
    with open_embeddings(path) as embeddings, pytest.raises(StoreError, match=r"is damaged: .*`snakemake verify`"):
        embeddings.matrix("again", 4)


def test_a_matrix_is_compared_with_its_checksum_once(result):
    path, _, shards = result
    with open_embeddings(path) as embeddings:
        sound = embeddings.read("matrix", "again")
        flip_matrix(shards[0])
        assert not np.array_equal(embeddings.read("matrix", "again"), sound)
        assert np.array_equal(embeddings.matrix("again", 1, 3), embeddings.read("matrix", "sp|P1|A/B")[1:3])


def test_of_many_shards_those_read_last_stay_open(result, monkeypatch):
    monkeypatch.setattr(linked_arrays, "MOST_OPEN", 1)
    with open_embeddings(result[0]) as embeddings:
        for identifier, length in (("again", 5), (".", 1), ("001", 2), ("again", 5), (".", 1)):
            assert np.array_equal(embeddings.read("matrix", identifier), np.full((length, 4), length))
            assert [Path(shard.filename).name for shard in embeddings._linked._shards.values()] == [
                "two.h5" if identifier == "." else "one.h5"
            ]
        shard = next(iter(embeddings._linked._shards.values()))
    assert not shard


def test_a_link_to_the_file_is_enough(result, tmp_path):
    link = tmp_path / "elsewhere/link.h5"
    link.parent.mkdir()
    link.symlink_to(result[0])
    with open_embeddings(link) as embeddings:
        assert embeddings.read("matrix", "again").shape == (5, 4)


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_other_processes_read_by_a_handle_that_is_sent_to_them(result, start):
    context = multiprocessing.get_context(start)
    with open_embeddings(result[0]) as embeddings, context.Pool(1) as pool:
        assert np.array_equal(pool.apply_async(embeddings.matrix, ("again", 3)).get(60), np.full((2, 4), 5))


def test_a_pickled_one_opens_the_file_again(result, monkeypatch):
    monkeypatch.chdir(result[0].parent)
    with open_embeddings(result[0].name) as embeddings:
        stored = pickle.dumps(embeddings)
    monkeypatch.chdir("/")
    with pickle.loads(stored) as again:
        assert again["001"]["matrix"].shape == (2, 4)


def test_a_file_of_another_kind_is_not_to_be_deleted(result):
    with pytest.raises(StoreError, match=r"expected format lucaflow-embeddings 1, found lucaflow-shard") as raised:
        open_embeddings(result[2][0])
    assert "delete" not in str(raised.value)


def test_a_shard_of_another_version_is_not_called_damaged(result):
    path, _, shards = result
    with h5py.File(shards[0], "r+") as file:
        file.attrs.modify("format_version", 2)
    with (
        open_embeddings(path) as embeddings,
        pytest.raises(StoreError, match=r"one\.h5: expected format lucaflow-shard 4, found 2, written by another"),
    ):
        embeddings["again"]
