"""Which file of a folder is a sequence's, by the names that LucaOneApp and LucaOneTasks give."""

from __future__ import annotations

import os

import pytest

from lucaflow.downstream import made_elsewhere
from lucaflow.downstream.made_elsewhere import find_files, possible_names


def write_records(folder, *records):
    """Write records.tsv. records: id, description and digest."""
    lines = ["\t".join((*record, "accepted")) for record in records]
    path = folder / "records.tsv"
    path.write_text("\n".join(["id\tdescription\tdigest\tstatus", *lines, "gone\t\td9\tdropped"]) + "\n")
    return path


def folder_of(tmp_path, *names):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize(
    ("record", "names"),
    [
        (("P1", ""), ["P1"]),
        (("a/b", "c d/e"), ["a_bcd_e", "a_b"]),
        (("sp|P1|X", "a | b"), ["sp_P1_Xa_b", "P1", "sp_P1_X"]),
        (("x|y", "z"), ["x_yz", "y z", "x_y", "y"]),
        (("P1", "kinase | P2 | x"), ["P1kinase_P2_x", "P1"]),
    ],
)
def test_names(record, names):
    assert possible_names(*record) == names


def test_each_sequence_has_the_file_of_a_record_or_a_reason(tmp_path):
    records = write_records(
        tmp_path,
        ("P1", "first", "d1"),
        ("sp|P2|X", "", "d2"),
        ("none", "at all", "d3"),
        ("same", "", "d3"),
        ("a/b", "", "d4"),
        ("a_b", "", "d5"),
        ("two", "files", "d6"),
        ("equal", "", "d7"),
        ("equal", "", "d7"),
        ("lost", "", "d8"),
        ("pair", "", "gene"),
        ("pair", "", "protein"),
    )
    folder = folder_of(
        tmp_path, "matrix_P1first.pt", "matrix_P2.npy", "matrix_same.pt", "matrix_a_b.pt", "matrix_two.pt",
        "matrix_twofiles.npy", "matrix_equal.pt", "matrix_gone.pt", "vector_lost.pt", "matrix_pair.pt",
    )  # fmt: skip
    found = find_files(records, folder)
    assert found.names == {
        "d1": "matrix_P1first.pt", "d2": "matrix_P2.npy", "d3": "matrix_same.pt", "d7": "matrix_equal.pt",
    }  # fmt: skip
    clash = (
        "matrix_a_b.pt may be of 'a/b' and 'a_b', whose sequences differ: LucaOneApp gives them one file, and keeps "
        "the first. Rename one of them and embed both again"
    )
    of_pair = "matrix_pair.pt may be of either of two sequences called 'pair': LucaOneApp gives them one file"
    assert {found.problems[digest].partition(",")[0] for digest in ("gene", "protein")} == {of_pair}
    assert {digest: found.problems[digest] for digest in ("d4", "d5", "d6", "d8")} == {
        "d4": clash,
        "d5": clash,
        "d6": f"matrix_twofiles.npy and matrix_two.pt in {folder} may both be its embedding; remove one",
        "d8": f"there is no matrix_lost.pt in {folder}",
    }


def test_a_file_that_another_record_of_a_sequence_may_have_is_of_none(tmp_path):
    """The file of y/1 may hold the sequence of y_1, although that has a file of its own."""
    records = write_records(tmp_path, ("x", "", "d1"), ("y/1", "", "d2"), ("y_1", "", "d1"))
    found = find_files(records, folder_of(tmp_path, "matrix_x.pt", "matrix_y_1.pt"))
    assert found.names == {"d1": "matrix_x.pt"}
    assert found.problems.keys() == {"d2"}


@pytest.mark.parametrize("large", [False, True])
def test_what_identifies_the_files(tmp_path, monkeypatch, large):
    """Their content; of many bytes their size and time. Files of other datasets do not count."""
    monkeypatch.setattr(made_elsewhere, "LARGEST_HASHED_FILE", 5 if large else 1000)
    records = write_records(tmp_path, ("P1", "", "d1"))
    folder = folder_of(tmp_path, "matrix_P1.pt")
    before = find_files(records, folder).identity()
    assert (before["folder"], before["files"]) == (str(folder), 1)
    (folder / "matrix_P2.pt").write_text("other")
    assert find_files(records, folder).identity() == before
    os.utime(folder / "matrix_P1.pt", ns=(1, 1))
    assert (find_files(records, folder).identity() != before) == large
    os.utime(folder / "matrix_P1.pt", ns=(1, 1))
    touched = find_files(records, folder).identity()
    (folder / "matrix_P1.pt").write_text("changed, and longer")
    assert find_files(records, folder).identity() != touched
    (folder / "matrix_P1.pt").unlink()
    os.mkfifo(folder / "matrix_P1.pt")
    assert find_files(records, folder).identity()["unreadable"] == "matrix_P1.pt", "without waiting for its content"
    (folder / "matrix_P1.pt").unlink()
    assert find_files(records, folder).identity()["unreadable"] == "FileNotFoundError"
