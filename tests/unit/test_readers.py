import bz2
import gzip
import lzma

import pytest

from lucaflow.errors import InputError
from lucaflow.readers import Columns, RawRecord, read_records


def read(tmp_path, name, content, columns=Columns()):  # noqa: B008
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_records(path, columns))


def pairs(records):
    return [(record.id, record.text) for record in records]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("wrapped.fa", ">a one two\nAC\nGT\n>b\nG\n", [("a", "AC\nGT"), ("b", "G")]),
        ("crlf.fasta", ">a\r\nAC\r\nGT\r\n", [("a", "AC\nGT")]),
        ("old-mac.fasta", ">a\rAC\r>b\rG\r", [("a", "AC"), ("b", "G")]),
        ("bom.fasta", "\ufeff>a\nAC\n", [("a", "AC")]),
        ("blank-lines.fasta", "\n\n>a\n\nAC\n\n", [("a", "\nAC\n")]),
        ("comments.fasta", ";c\n>a\n;note\nAC\n", [("a", "\nAC")]),
        ("no-newline.fasta", ">a\nAC", [("a", "AC")]),
        ("empty-records.fasta", ">a\n>b\nAC\n>c\n", [("a", ""), ("b", "AC"), ("c", "")]),
        ("no-id.fasta", ">\nAC\n", [("", "AC")]),
        ("double.fasta", ">>a\nAC\n", [(">a", "AC")]),
        ("two.csv", "id,seq\n001,AC\nNA,GT\n", [("001", "AC"), ("NA", "GT")]),
        ("three.csv", "id,type,seq\nnan,prot,AC\n", [("nan", "AC")]),
        ("upper.CSV", "id,seq\n1e5,AC\n", [("1e5", "AC")]),
        ("quoted.csv", 'id,seq\n"a,b ""c""",AC\n', [('a,b "c"', "AC")]),
        ("blank-rows.csv", "id,seq\n\n , \na,AC\n\n", [("a", "AC")]),
        ("marked.csv", ">id,seq\n>a,AC\n", [(">a", "AC")]),
        ("tabs.tsv", "id\tseq\na b\tA C\n", [("a b", "A C")]),
        ("tabs-named.csv", "id\tseq\na\tAC\n", [("a", "AC")]),
        ("unicode.csv", "id,seq\nα-Ω,AC\n", [("α-Ω", "AC")]),
    ],
)
def test_formats(tmp_path, name, content, expected):
    assert pairs(read(tmp_path, name, content)) == expected


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files_are_recognised_by_content(tmp_path, pack):
    assert pairs(read(tmp_path, "a.fasta", pack(b">a\nAC\n"))) == [("a", "AC")]


def test_a_field_may_be_longer_than_pythons_limit(tmp_path):
    assert len(read(tmp_path, "a.csv", "id,seq\na," + "A" * 200_000 + "\n")[0].text) == 200_000


def test_lines_descriptions_and_labels(tmp_path):
    assert read(tmp_path, "a.fa", "\n>a b  c\nAC\n\n>d\nG\n") == [
        RawRecord(2, "a", "b  c", "AC\n"),
        RawRecord(5, "d", "", "G"),
    ]
    table = read(tmp_path, "a.csv", 'id,seq,"two\nlines"\na,AC,x\nb,G,y\n', Columns(sequence="seq", label="2"))
    assert [(record.line, record.label) for record in table] == [(3, "x"), (4, "y")]


def test_columns_of_a_fasta_file(tmp_path):
    assert pairs(read(tmp_path, "a.fasta", ">a\nAC\n", Columns(id="0", sequence="1"))) == [("a", "AC")]
    for columns in (Columns(label="genus"), Columns(id="name"), Columns(sequence="2")):
        with pytest.raises(InputError, match="FASTA has"):
            read(tmp_path, "a.fasta", ">a\nAC\n", columns)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (Columns(id="name", sequence="seq"), [("n", "AC")]),
        (Columns(id="1", sequence="-1"), [("n", "AC")]),
        (Columns(header=False, id="1", sequence="3"), [("name", "seq"), ("n", "AC")]),
    ],
)
def test_columns(tmp_path, columns, expected):
    assert pairs(read(tmp_path, "a.csv", "x,name,y,seq\n0,n,1,AC\n", columns)) == expected


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("early.fasta", ">\n", None),
        ("early.fa", "; c\nACGT\n>a\nAC\n", "line 2: 'ACGT' stands before the first header"),
        ("plain.txt", "ACGT\n", "neither FASTA nor a table"),
        ("empty.csv", "", "holds no records"),
        ("blank.fasta", "\n \n", "holds no records"),
        ("short.csv", "id,type,seq\na,prot,AC\nb,prot\n", "line 3: 2 columns, expected at least 3"),
        ("open.csv", 'id,seq\na,AC\nb,"GT\nc,AC\n', "line 3: the row that starts here cannot be read"),
        ("inside.tsv", 'id\tseq\na\t"A"C\n', "line 2: the row that starts here cannot be read"),
        ("headless.csv", "a,ACGTACGT\nb,AC\n", "line 1: 'a,ACGTACGT' looks like a record"),
        ("latin.fasta", b">\xe9\nAC\n", "not UTF-8 text"),
        ("wide.fasta", ">a\nAC\n".encode("utf-16"), "not UTF-8 text"),
        ("cut.fasta.gz", gzip.compress(b">a\nAC\n" * 99)[:-20], "damaged or cut short"),
        ("zst.fasta", b"\x28\xb5\x2f\xfd\x00\x00", "Zstandard files cannot be read"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, content, words):
    if words is None:
        assert read(tmp_path, name, content) == [RawRecord(1, "", "", "")]
        return
    with pytest.raises(InputError, match=words):
        read(tmp_path, name, content)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        list(read_records(tmp_path / "nowhere.fasta", Columns()))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_records(tmp_path, Columns()))
