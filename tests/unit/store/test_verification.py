import fcntl

import h5py
import numpy as np
import pytest
from small_store import ATTRIBUTES, DIGESTS, FINGERPRINT, OPTIONS, flip_matrix, swap_rows

from lucaflow.errors import UnreadableError
from lucaflow.store.checksums import read_unchecked_rows, row_checksums
from lucaflow.store.verification import verify_embeddings


def problems(result):
    path, accepted, shards = result
    return verify_embeddings(path, accepted, OPTIONS, ATTRIBUTES, shards).describe()


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
        (change_mean, f"`mean` of sequence {DIGESTS[2]} is not finite"),
        (change_length, "`lengths` does not agree with records.tsv and the options"),
        (swap_means, "`mean` differs from the shard one.h5"),
        (change_dataset, "its `dataset` is 'other', expected 'd'"),
        (change_windows, "`windows` does not agree with records.tsv and the options"),
        (remove_link, "the link to the matrix of '001' is missing"),
        (turn_link, "the link to the matrix of '001' is missing or has another target"),
        (change_fingerprint, "its `fingerprint` is '000"),
        (lambda file: file.pop("digests"), "digests"),
    ],
)
def test_damage_of_embeddings_is_named(result, change, words):
    with h5py.File(result[0], "r+") as file:
        change(file)
    assert words in problems(result)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def drop_matrix(path):
    with h5py.File(path, "r+") as file:
        del file[f"matrix/{DIGESTS[0]}"]


def shorten_matrix(path):
    """Shorten a matrix consistently: the shard itself says that fewer residues were embedded."""
    with h5py.File(path, "r+") as file:
        del file[f"matrix/{DIGESTS[0]}"]
        file[f"matrix/{DIGESTS[0]}"] = np.zeros((4, 4), dtype=np.float32)
        file["residues_embedded"][0] = 4
        file["checksums"][:] = row_checksums(read_unchecked_rows(file, np.s_[:]))


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
def test_damage_of_a_shard_is_named(result, damage, words):
    damage(result[2][0])
    said = problems(result)
    assert words in said
    assert "one.h5" in said


def test_a_file_that_is_locked_is_not_damaged(result):
    path, accepted, shards = result
    with shards[0].open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(UnreadableError, match=r"one\.h5: cannot be read now, and was left unchanged"):
            verify_embeddings(path, accepted, OPTIONS, ATTRIBUTES, shards)
    assert problems(result) == ""
