"""Tables of metadata: which row belongs to which record, and what is said of the others."""

from __future__ import annotations

import csv
import gzip

import pytest

from lucaflow.errors import InputError
from lucaflow.records.further_columns import FoundColumns
from lucaflow.records.metadata import Metadata, MetadataFile, read_metadata
from lucaflow.records.outcomes import Policies
from lucaflow.records.readers import Columns, read_records
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset

FASTA = ">sp|P1|ONE_X first\nMKV\n>P2\nMKL\n>none\nMKI\n"
TABLE = "Entry\tOrganism\tMass\nP1\tMus\t1.5\nsp|P2|TWO_X\tHomo\t2\nP9\tRattus\t3\nP1\tagain\t4\n"


def rows_of(path):
    with path.open(newline="") as lines:
        return [*csv.reader(lines, delimiter="\t")]


def normalised(folder, text, table, label=None, id_column=None, name="in.fasta", **policies):
    """Normalise a dataset with metadata; return its files and the notes."""
    (folder / name).write_text(text)
    path = folder / "metadata.tsv"
    path.write_text(table)
    files = NormalisedFiles(
        *(folder / "out" / f"{part}.tsv" for part in ("records", "s", "labels", "counts", "problems"))
    )
    metadata = read_metadata(MetadataFile(path, id_column), label, [].append)
    columns, found = Columns(label=label, label_optional=metadata.label is not None), FoundColumns()
    records = read_records(folder / name, columns, [].append, found)
    counts = normalise_dataset(
        records, folder / name, "prot", Policies(**policies), files, found=found, metadata=metadata
    )
    return files, counts.notes


def test_rows_are_joined_by_id_or_accession_and_the_rest_is_listed(tmp_path):
    files, notes = normalised(tmp_path, FASTA, TABLE, label="organism")
    assert rows_of(files.columns) == [["record", "Mass"], ["1", "1.5"], ["2", "2"]]
    assert rows_of(files.labels) == [["record", "label"], ["1", "Mus"], ["2", "Homo"]]
    assert rows_of(files.metadata_problems) == [
        ["problem", "id", "line"],
        ["record without a row", "none", "5"],
        ["row without a record", "P9", "4"],
        ["another row of the same id: the first is used", "P1", "5"],
    ]
    joined = "metadata from metadata.tsv for 2 of 3 records"
    assert notes == [
        f"{joined}; 1 row without a record; 1 row with an id of another row; listed in metadata.problems.tsv"
    ]


def test_the_columns_of_the_own_table_come_first_and_win(tmp_path):
    own = "id,sequence,organism,length,other_seq\nP1,MKV,Canis,x,ACGTACGTACGT\nP2,MKL,,,ACGTACGTACGG\nP3,MKI,Bos,,\n"
    files, notes = normalised(tmp_path, own, TABLE, label="organism", name="in.csv")
    assert rows_of(files.labels) == [["record", "label"], ["1", "Canis"], ["3", "Bos"]]
    assert rows_of(files.columns) == [
        ["record", "length (table)", "Organism", "Mass"], ["1", "x", "Mus", "1.5"], ["2", "", "Homo", "2"],
    ]  # fmt: skip
    assert notes[0].endswith("labels are from the dataset's own table")


def test_only_accepted_records_count(tmp_path):
    text = "id,sequence,kind\nP1,MKV,a\nP1,MKV,b\nP2,,c\n"
    policies = {"duplicate_ids": "first", "empty_sequences": "drop"}
    files, notes = normalised(tmp_path, text, TABLE, name="in.csv", **policies)
    assert rows_of(files.columns) == [["record", "kind", "Organism", "Mass"], ["1", "a", "Mus", "1.5"]]
    assert notes[0].startswith("metadata from metadata.tsv for 1 of 1 record; 2 rows without a record")


def test_a_record_that_several_rows_match_gets_none():
    metadata = Metadata(None, "id", ["name"])
    for line, identifier in enumerate(("sp|P1|A", "tr|P1|B", "P3", "N3", "é"), start=2):
        metadata.add(identifier, line, [identifier])
    assert metadata.find("P1") == (None, True)
    assert metadata.find("sp|P1|A") == ("sp|P1|A", False)
    assert metadata.find("sp|P3|N3") == (None, True)
    assert metadata.find("sp|P3|other") == ("P3", False)
    assert metadata.find("B") == ("tr|P1|B", False)
    assert metadata.find("x|P9|B") == (None, False), "another database may have another B"
    assert metadata.find("B2") == (None, False)
    assert metadata.find("e\u0301") == ("é", False)
    assert metadata.cells("P3") == (4, ["P3"])


def test_a_file_of_which_nothing_matches_is_refused_and_the_right_column_named(tmp_path):
    table = "number\tEntry\tname\n1\tP1\tx\n2\tP2\ty\n"
    with pytest.raises(InputError, match=r"no row .*'1', '2'; the dataset has 'sp.P1.*The column 'Entry' has"):
        normalised(tmp_path, FASTA, table)
    assert not (tmp_path / "out/records.tsv").exists()
    files, _ = normalised(tmp_path, FASTA, table, id_column="Entry")
    assert rows_of(files.columns)[1] == ["1", "1", "x"]
    with pytest.raises(InputError, match=r"Set metadata_id to the column of ids\. The file has: number, Entry, name"):
        normalised(tmp_path, ">Q\nMKV\n", table)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (">a\nMKV\n", "this is FASTA"),
        ("Entry\tx\nP1\t1\n\t2\n", "line 3: no id in the column 'Entry'"),
        ("Entry,x\nP1,1,2\n", "line 2: 3 columns, expected 2"),
        ("Entry\n", "neither FASTA nor a table"),
        ("", "the file holds no records"),
    ],
)
def test_metadata_that_cannot_be_read(tmp_path, text, said):
    (tmp_path / "m.tsv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_metadata(MetadataFile(tmp_path / "m.tsv"), None, print)


def test_a_column_of_ids_that_is_not_there(tmp_path):
    (tmp_path / "m.tsv").write_text(TABLE)
    with pytest.raises(InputError, match=r"line 1: no column 'Name' for the ids.*Correct metadata_id"):
        read_metadata(MetadataFile(tmp_path / "m.tsv", "Name"), None, print)
    with pytest.raises(InputError, match=r"nothing\.tsv"):
        read_metadata(MetadataFile(tmp_path / "nothing.tsv"), None, print)


def test_packed_semicolons_and_r(tmp_path):
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(b'sep=;\nid;mass;label\nP1;1,5;"a;b"\n'))
    found = read_metadata(MetadataFile(tmp_path / "m.csv.gz"), "label", print)
    assert (found.names, found.label, found.cells("P1")) == (["mass", "label"], 1, (3, ["1,5", "a;b"]))
    (tmp_path / "r.tsv").write_text("mass\tkind\nP1\t1\tx\nP2\t2\ty\n")
    found = read_metadata(MetadataFile(tmp_path / "r.tsv"), None, print)
    assert (found.names, found.cells("P2")) == (["mass", "kind"], (3, ["2", "y"]))


def test_a_line_of_names_that_is_a_remark_and_one_that_is_missing(tmp_path):
    """As QIIME writes it; without one, the first record would lose its row."""
    files, _ = normalised(tmp_path, FASTA, "#SampleID\tcountry\nP1\tDE\nP2\tFR\n")
    assert rows_of(files.columns) == [["record", "country"], ["1", "DE"], ["2", "FR"]]
    with pytest.raises(InputError, match=r"the first line has the id of a record, 'sp.P1.ONE_X', in place of a name"):
        normalised(tmp_path, FASTA, "P1\tDE\nP2\tFR\n")


def test_sequences_stay_out_and_cells_of_several_lines_go_along(tmp_path):
    """A word in capitals is no sequence."""
    table = 'id,Sequence,place,notes\nP1,MK,MITOCHONDRION,"binds ATP,\nthen GTP"\nP2,ML,CYTOPLASMATIC,\n'
    remarks = []
    (tmp_path / "m.csv").write_text(table)
    found = read_metadata(MetadataFile(tmp_path / "m.csv"), None, remarks.append)
    assert (found.names, found.cells("P1")) == (["place", "notes"], (2, ["MITOCHONDRION", "binds ATP,\nthen GTP"]))
    assert remarks == ["columns with sequences are left out of the further columns: Sequence"]
    (tmp_path / "empty.csv").write_text(",,\n,,\n")
    with pytest.raises(InputError, match="it has no row with a cell"):
        read_metadata(MetadataFile(tmp_path / "empty.csv"), None, print)
