import bz2
import gzip
import lzma

import pytest

from lucaflow.errors import InputError
from lucaflow.records.readers import Columns, RawRecord, read_records, zstd


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


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
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
        ("early.fa", "; c\nACGT\n>a\nAC\n", "line 2: 'ACGT' is before the first header"),
        ("plain.txt", "ACGT\n", "neither FASTA nor a table"),
        ("empty.csv", "", "holds no records"),
        ("blank.fasta", "\n \n", "holds no records"),
        ("open.csv", 'id,seq\na,AC\nb,"GT\nc,AC\n', "line 3: the row that starts here cannot be read"),
        ("inside.tsv", 'id\tseq\na\t"A"C\n', "line 2: the row that starts here cannot be read"),
        ("headless.csv", "a,ACGTACGT\nb,AC\n", "line 1: 'a,ACGTACGT' looks like a record"),
        ("latin.fasta", b">\xe9\nAC\n", "not UTF-8 text"),
        ("wide.fasta", ">a\nAC\n".encode("utf-16"), "not UTF-8 text"),
        ("cut.fasta.gz", gzip.compress(b">a\nAC\n" * 99, mtime=0)[:-20], "damaged or cut short"),
        ("cut.fasta.zst", zstd.compress(b">a\nAC\n" * 99)[:-5], "damaged or cut short"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, content, words):
    if words is None:
        assert read(tmp_path, name, content) == [RawRecord(1, "", "", "")]
        return
    with pytest.raises(InputError, match=words):
        read(tmp_path, name, content)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"there is no such file\. Correct the path"):
        list(read_records(tmp_path / "nowhere.fasta", Columns()))
    with pytest.raises(InputError, match="is not a regular file but a directory"):
        list(read_records(tmp_path, Columns()))


def test_a_row_that_is_too_short_is_one_records_fault(tmp_path):
    found = read(tmp_path, "a.csv", "id,type,seq\na,prot,AC\nb,prot\nc,prot,GT\n")
    assert [(record.id, record.text) for record in found] == [("a", "AC"), ("b", ""), ("c", "GT")]
    assert found[1].fault == "2 columns, expected at least 3; complete the row or remove it"


@pytest.mark.parametrize("block", [1, 2, 3, 5, 7, 1000])
def test_blocks_of_any_size_give_the_same_records(tmp_path, monkeypatch, block):
    content = ";c\n\n>a one\nAC\nGT\n\n>b\n>c\n;x\nA\n>d two  words\nACGTACGT"
    expected = [
        RawRecord(3, "a", "one", "AC\nGT\n"),
        RawRecord(7, "b", "", ""),
        RawRecord(8, "c", "", "\nA"),
        RawRecord(11, "d", "two  words", "ACGTACGT"),
    ]
    monkeypatch.setattr("lucaflow.records.fasta._BLOCK_CHARACTERS", block)
    assert read(tmp_path, "a.fasta", content) == expected


PAIRS = "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b\n"


def test_pairs(tmp_path):
    columns = Columns(pairs=True)
    found = read(tmp_path, "a.csv", f"{PAIRS}x,y,gene,prot,AC,MK\nx,z,gene,peptide,AC,MW\nx\n", columns)
    assert [(r.line, r.pair, r.side, r.id, r.seq_type, r.text) for r in found] == [
        (2, "1", "a", "x", "gene", "AC"), (2, "1", "b", "y", "prot", "MK"),
        (3, "2", "a", "x", "gene", "AC"), (3, "2", "b", "z", "", "MW"),
        (4, "3", "a", "", "", ""), (4, "3", "b", "", "", ""),
    ]  # fmt: skip
    assert [bool(r.fault) for r in found] == [False, False, False, True, True, True]
    assert found[3].fault == "seq_type_b is 'peptide', expected gene or prot"
    swapped = read(
        tmp_path,
        "b.tsv",
        "seq_b\tseq_a\tseq_id_b\tseq_id_a\tseq_type_b\tseq_type_a\nMK\tAC\ty\tx\tprot\tgene\n",
        columns,
    )
    assert [(r.id, r.text) for r in swapped] == [("x", "AC"), ("y", "MK")]
    bare = read(tmp_path, "c.csv", "x,y,gene,prot,AC,MK\n", Columns(pairs=True, header=False))
    assert [(r.id, r.text) for r in bare] == [("x", "AC"), ("y", "MK")]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.fasta", ">a\nAC\n", "FASTA cannot hold pairs"),
        ("a.csv", "id_a,id_b,seq_a,seq_b\n", "missing: seq_id_a, seq_id_b, seq_type_a, seq_type_b"),
        ("b.csv", "x,y,gene,prot,ACGTACGTACGT,MK\n", "looks like a record"),
    ],
)
def test_what_is_no_file_of_pairs(tmp_path, name, content, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, name, content, Columns(pairs=True))
