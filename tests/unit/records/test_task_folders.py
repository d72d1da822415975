"""Folders of LucaOneTasks as datasets."""

import pytest

from lucaflow.config.step_settings import file_identity
from lucaflow.errors import InputError
from lucaflow.records.further_columns import FoundColumns
from lucaflow.records.raw_records import Columns
from lucaflow.records.readers import is_fasta, is_plain_fasta, read_records
from lucaflow.records.task_folders import named, size_of_source, why_unusable_source

HEADER = "seq_id,seq_type,seq,label\n"


@pytest.fixture
def folder(tmp_path):
    """A folder as LucaOneTasks has it: two files of train, the last one without a newline at its end."""
    files = {
        "train/a.csv": f"{HEADER}p1,prot,MKV,0\np2,prot,MKVL,1\n",
        "train/b.csv": f"{HEADER}p3,prot,MKW,0\n",
        "train/.hidden.csv": "no table",
        "train/notes.txt": "no table",
        "dev/dev.csv": f"{HEADER}p4,prot,MKY,1\n",
        "test/test.csv": f"{HEADER}p5,prot,MKC,1",
        "label.txt": "label\nin\nout\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def read(folder, columns=None):
    """Return line, id, text, label, part and fault of each record, and the notes."""
    notes, found = [], FoundColumns()
    records = list(read_records(folder, columns or Columns(label="label", seq_type="prot"), notes.append, found))
    assert found.names == ["split"] and found.has_labels
    return [(raw.line, raw.id, raw.text, raw.label, *raw.cells, raw.fault) for raw in records], notes


def test_the_parts_are_read_as_one_table(folder):
    rows, notes = read(folder)
    assert rows == [
        (2, "p1", "MKV", "in", "train", ""),
        (3, "p2", "MKVL", "out", "train", ""),
        (5, "p3", "MKW", "in", "train", ""),
        (7, "p4", "MKY", "out", "dev", ""),
        (9, "p5", "MKC", "out", "test", ""),
    ]
    assert "lines of test/test.csv are counted from 8 on" in notes
    assert not is_fasta(folder) and not is_plain_fasta(folder)
    assert why_unusable_source(folder) == "" and size_of_source(folder) > 100


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("a,b,c\np4,MKY,1\n", ("p4", "MKY", "out", "dev", "")),
        ("a,b,c,d,e,f\np4,prot,MKY,v.pt,m.pt,1\n", ("p4", "MKY", "out", "dev", "")),
        ("id,kind,residues,y\np4,prot,MKY,1\n", ("p4", "MKY", "out", "dev", "")),
        ("label,seq_id,seq\n1,p4,MKY\n", ("p4", "MKY", "out", "dev", "")),
        (
            f"{HEADER}p4,gene,ACG,1\n",
            ("p4", "ACG", "out", "dev",
             "seq_type is 'gene', but that of the dataset is prot; divide the dataset by types"),
        ),
    ],
)  # fmt: skip
def test_columns_are_known_by_name_or_by_position(folder, text, row):
    (folder / "dev/dev.csv").write_text(text, encoding="utf-8")
    rows, _ = read(folder)
    assert rows[3][1:] == row


@pytest.mark.parametrize(
    ("label", "found"),
    [("2", "2"), ("[1,0]", '["out", "in"]'), ("[]", "[]"), ("[0,7]", "[0,7]"), ("0110", "0110"), ("1.0", "1.0")],
)
def test_what_is_no_number_of_a_class_stays(label, found):
    assert named(label, ("in", "out")) == found


def test_without_names_of_classes_labels_stay(folder):
    (folder / "label.txt").unlink()
    rows, _ = read(folder)
    assert [row[3] for row in rows] == ["0", "1", "0", "1", "1"]


def test_pairs(folder):
    header = "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b,label\n"
    for path in folder.glob("*/[!.]*.csv"):
        path.write_text(f"{header}a,b,gene,prot,ACG,MKV,1\n", encoding="utf-8")
    found = FoundColumns()
    records = list(read_records(folder, Columns(label="label", pairs=True), print, found))
    assert [(raw.pair, raw.side) for raw in records] == [(str(each), side) for each in (1, 2, 3, 4) for side in "ab"]
    assert [raw.line for raw in records][::2] == [2, 4, 6, 8]
    assert [(raw.label, *raw.cells) for raw in records][::2] == [
        ("out", "train"), ("out", "train"), ("out", "dev"), ("out", "test")
    ]  # fmt: skip
    assert found.names == ["split"]


def test_what_is_refused(folder):
    with pytest.raises(InputError, match="has its own columns; leave id_column and label_column empty"):
        read(folder, Columns(id="x", label="other"))
    (folder / "dev/dev.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"dev.csv, line 1: 'a,b' has 2 columns. Expected seq_id, seq_type"):
        read(folder)
    (folder / "dev/dev.csv").unlink()
    with pytest.raises(InputError, match=r"there are no CSV or TSV files in dev\."):
        read(folder)
    assert why_unusable_source(folder).startswith("there are no CSV or TSV files in dev")
    assert size_of_source(folder) == 0
    assert "not a regular file but a directory" in why_unusable_source(folder / "dev")


def test_a_folder_is_known_by_its_files(folder):
    before = file_identity(folder)
    assert list(before["files"]) == ["train/a.csv", "train/b.csv", "dev/dev.csv", "test/test.csv", "label.txt"]
    for name, text in (("train/notes.txt", "new"), ("label.txt", "label\nx\ny\n")):
        file_identity.cache_clear()
        (folder / name).write_text(text, encoding="utf-8")
        assert (file_identity(folder) == before) == (name == "train/notes.txt")
