import fcntl
import json
from urllib.parse import unquote

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lucaflow
from lucaflow.engine.engine import EmbeddedBatch, Piece
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import EmbeddingError, StoreError, UnreadableError
from lucaflow.records.normalisation import RECORD_COLUMNS
from lucaflow.records.outcomes import digest_of
from lucaflow.store.assembly import Accepted, assemble, read_accepted
from lucaflow.store.checksums import CHECKSUMS, checksum, row_checksums, row_values
from lucaflow.store.embeddings import open_embeddings
from lucaflow.store.format import key_of, stored
from lucaflow.store.shards import ShardContent, ShardWriter
from lucaflow.store.verification import verify_embeddings

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


def write(path, digests, lengths, *batches):
    with ShardWriter(path, ShardContent(digests, lengths, OPTIONS, CHECKPOINT, 4), "cpu") as writer:
        writer.write(batches)


@pytest.fixture
def result(tmp_path):
    """A small embeddings.h5 with two shards and its records.tsv."""
    folder = tmp_path / "shards" / FINGERPRINT[:12]
    folder.mkdir(parents=True)
    shards = [folder / "one.h5", folder / "two.h5"]
    write(shards[0], DIGESTS[:2], [5, 2], batch(0, ["MKVLA"]), batch(1, ["MK"]))
    write(shards[1], DIGESTS[2:], [1], batch(0, ["W"]))
    records = tmp_path / "records.tsv"
    lines = ["\t".join(RECORD_COLUMNS)]
    for number, (identifier, row) in enumerate(zip(IDS, ROWS, strict=True), start=1):
        length = len(RESIDUES[row])
        lines.append(f"{number}\t{number}\t{identifier}\t\tprot\t\t\taccepted\t\t{length}\t0\t{DIGESTS[row]}")
    lines.append("6\t6\tgone\t\tprot\t\t\tdropped\tempty\t0\t0\t")
    records.write_text("\n".join(lines) + "\n")
    accepted = read_accepted(records)
    path = tmp_path / "embeddings.h5"
    assemble(path, ATTRIBUTES, OPTIONS, accepted, shards)
    return path, accepted, shards


def problems(result):
    path, accepted, shards = result
    return verify_embeddings(path, accepted, OPTIONS, ATTRIBUTES, shards).describe()


@given(st.text(min_size=1, max_size=8, alphabet="a./%2FE\u00e9") | st.text(min_size=1))
def test_keys_are_reversible(identifier):
    key = key_of(identifier)
    assert unquote(key) == identifier
    assert "/" not in key
    assert key != "."


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
            with pytest.raises(StoreError, match=r"there is no 'max'; there are mean, matrix"):
                read("max")
        with pytest.raises(StoreError, match=r"a table holds vectors, matrix is none; read it by its id"):
            embeddings.to_frame("matrix")
    shards[1].unlink()
    with open_embeddings(path) as embeddings, pytest.raises(StoreError, match=r"two\.h5, which is missing"):
        embeddings["."]


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "damaged or cut short"), (b"not HDF5", "damaged or cut short"), (None, "missing")]
)
def test_what_is_no_embeddings_file(tmp_path, content, words):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=words):
        open_embeddings(path)
    with h5py.File(path, "w"):
        pass
    with pytest.raises(StoreError, match="expected format lucaflow-embeddings 1, found None None"):
        open_embeddings(path)


def test_a_sound_file_verifies(result):
    assert problems(result) == ""


def change_ids(file):
    file["ids"][1] = "other"


def change_mean(file):
    file["mean"][2, 1] = np.nan


def change_length(file):
    file["lengths"][0] = 6


def swap_means(file):
    file["mean"][:] = file["mean"][:][::-1]


def change_dataset(file):
    file.attrs["dataset"] = "other"


def change_windows(file):
    file["windows"][1] = 2


def remove_link(file):
    del file["matrix/001"]


def turn_link(file):
    del file["matrix/001"]
    file["matrix/001"] = h5py.ExternalLink(f"shards/{FINGERPRINT[:12]}/one.h5", f"/matrix/{DIGESTS[0]}")


def change_fingerprint(file):
    file.attrs["fingerprint"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_ids, "id '001' is missing"),
        (change_mean, f"`mean` of the sequence {DIGESTS[2]} is not finite"),
        (change_length, "`lengths` is not what records.tsv and the options say"),
        (swap_means, "`mean` differs from the shard one.h5"),
        (change_dataset, "its `dataset` is 'other', expected 'd'"),
        (change_windows, "`windows` is not what records.tsv and the options say"),
        (remove_link, "the link to the matrix of '001' is missing"),
        (turn_link, "the link to the matrix of '001' is missing or leads elsewhere"),
        (change_fingerprint, "its `fingerprint` is '000"),
        (lambda file: file.pop("digests"), "digests"),
    ],
)
def test_what_is_wrong_in_embeddings_is_named(result, change, words):
    with h5py.File(result[0], "r+") as file:
        change(file)
    assert words in problems(result)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def drop_matrix(path):
    with h5py.File(path, "r+") as file:
        del file[f"matrix/{DIGESTS[0]}"]


def shorten_matrix(path):
    """Shortened without a word: the shard itself says that fewer residues were embedded."""
    with h5py.File(path, "r+") as file:
        del file[f"matrix/{DIGESTS[0]}"]
        file[f"matrix/{DIGESTS[0]}"] = np.zeros((4, 4), dtype=np.float32)
        file["residues_embedded"][0] = 4
        file["checksums"][:] = row_checksums(row_values(file, np.s_[:]))


def flip_matrix(path):
    """A changed number, a finite one."""
    with h5py.File(path, "r") as file:
        place = file[f"matrix/{DIGESTS[0]}"].id.get_offset()
    with path.open("r+b") as raw:
        raw.seek(place + 18)
        byte = raw.read(1)[0]
        raw.seek(place + 18)
        raw.write(bytes([byte ^ 1]))


def swap_rows(path):
    with h5py.File(path, "r+") as file:
        matrix = file[f"matrix/{DIGESTS[0]}"]
        matrix[0], matrix[1] = matrix[1] + 1, matrix[0]


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


def test_an_id_that_is_not_there_names_one_like_it(result):
    with open_embeddings(result[0]) as embeddings:
        with pytest.raises(KeyError, match="there is no id 'gain', but 'again'"):
            embeddings["gain"]
        with pytest.raises(KeyError, match=r"there is no id 'xyz'"):
            embeddings["xyz"]


def test_a_shard_of_another_version_is_not_called_damaged(result):
    path, _, shards = result
    with h5py.File(shards[0], "r+") as file:
        file.attrs.modify("format_version", 2)
    with (
        open_embeddings(path) as embeddings,
        pytest.raises(StoreError, match=r"one\.h5: expected format lucaflow-shard 3, found 2, which another version"),
    ):
        embeddings["again"]


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("float32", 5), ("float16", 7)])
def test_a_checksum_does_not_depend_on_the_pieces(dtype, width):
    rows = np.random.default_rng(0).standard_normal((9, width)).astype(dtype)
    whole = checksum(rows, 0)
    parts = (slice(5, 9), slice(0, 1), slice(1, 5))
    assert sum(checksum(rows[part], part.start) for part in parts) % CHECKSUMS == whole
    others = [rows[::-1], rows[:, ::-1], rows[:-1], np.zeros_like(rows), np.zeros_like(rows[:-1])]
    assert len({0, whole, *(checksum(other, 0) for other in others)}) == len(others) + 2


def test_a_checksum_sees_every_bit():
    rows = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    found = {checksum(rows, 0)}
    for place in range(8 * rows.nbytes):
        octets = bytearray(rows.tobytes())
        octets[place // 8] ^= 1 << place % 8
        found.add(checksum(np.frombuffer(bytes(octets), np.float32).reshape(rows.shape), 0))
    assert len(found) == 8 * rows.nbytes + 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_matrix, f"/matrix/{DIGESTS[0]} is damaged"),
        (swap_rows, f"/matrix/{DIGESTS[0]} is damaged"),
        (lambda path: path.unlink(), "one.h5: missing"),
        (cut, "damaged or cut short"),
        (drop_matrix, DIGESTS[0]),
        (shorten_matrix, "is float32 (4, 4), expected float32 (5, 4)"),
    ],
)
def test_what_is_wrong_in_a_shard_is_named(result, damage, words):
    damage(result[2][0])
    said = problems(result)
    assert words in said
    assert "one.h5" in said


def test_a_file_that_is_locked_is_not_damaged(result):
    path, accepted, shards = result
    with shards[0].open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(UnreadableError, match=r"one\.h5: cannot be read now, and was left as it is"):
            verify_embeddings(path, accepted, OPTIONS, ATTRIBUTES, shards)
    assert problems(result) == ""


def test_shards_that_do_not_fit_are_refused(result):
    path, accepted, shards = result
    attributes = {"dataset": "d", "fingerprint": FINGERPRINT}
    before = path.read_bytes()
    with pytest.raises(StoreError, match="no shard holds 1 of the sequences"):
        assemble(path, attributes, OPTIONS, accepted, shards[:1])
    with pytest.raises(StoreError, match=r"two\.h5 holds sequences that belong elsewhere"):
        assemble(path, attributes, OPTIONS, accepted, [*shards, shards[1]])
    with pytest.raises(StoreError, match="was made with other options"):
        assemble(path, {"fingerprint": "0"}, OPTIONS, accepted, shards)
    assert path.read_bytes() == before


def test_rows_of_what_is_not_there():
    accepted = Accepted(["a"], np.array(DIGESTS[:1], dtype="S64"), np.array([5]), np.array([0]))
    assert accepted.rows_of(np.array(DIGESTS, dtype="S64")).tolist() == [0, -1, -1]


def test_half_precision_overflow_is_an_error():
    assert stored(np.ones((1, 2), dtype=np.float32), "float16", ["x"]).dtype == np.float16
    with pytest.raises(EmbeddingError, match="float16 cannot hold the embeddings of x"):
        stored(np.full((1, 2), 1e5, dtype=np.float32), "float16", ["x"])


def test_a_shard_that_ends_early_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="1 of 2 sequences were embedded"):
        write(tmp_path / "s.h5", DIGESTS[:2], [5, 2], batch(0, ["MKVLA"]))
