"""Which columns of a table are read, which of its rows are records, and what is said about it."""

import pytest

from lucaflow.errors import InputError
from lucaflow.records.readers import Columns, read_records

A, B = "MFPCDVENWCTHCDQQDIDVQCWEIWCWWPCICVFLQFVE", "WLVGEWWHNEVDWCYHSVQMRWRNLIGIDWLTSMRLYDET"
GENE = "ATGATGATGATGAAATTTCCC"
BOTH = [("a", A), ("b", B)]


def read(tmp_path, content, columns=Columns(), name="in.csv"):  # noqa: B008
    """Return the id and text of each record, its fault instead of the text if it has one, and what was said."""
    path, notes = tmp_path / name, []
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    records = [(record.id, record.fault or record.text) for record in read_records(path, columns, notes.append)]
    return records, "\n".join(notes)


@pytest.mark.parametrize(
    "content",
    [
        f"id,sequence,location\na,{A},Nucleus\nb,{B},Membrane\n",
        f"ID,Sequence,Location\r\na,{A},Nucleus\r\nb,{B},Membrane\r\n",
        f" Accession , AA_SEQ , x \na,{A},Nucleus\nb,{B},Membrane\n",
        f'"Name","Protein sequence","kind"\n"a","{A}","1, 2"\n"b","{B}","3"\n',
        f"sequence,location,name\n{A},Nucleus,a\n{B},Membrane,b\n",
        f",id,label,sequence\n0,a,x,{A}\n1,b,y,{B}\n",
        f"Unnamed: 0,id,seq\n0,a,{A}\n1,b,{B}\n",
        f"name,vh_seq,target\na,{A},HER2\nb,{B},TNF\n",
        "Entry\tReviewed\tEntry Name\tProtein names\tGene Names\tOrganism\tLength\tSequence\n"
        f"a\treviewed\tA_HUMAN\tKinase\tKIN1 KIN\tHomo sapiens (Human)\t40\t{A}\n"
        f"b\tunreviewed\tB_HUMAN\tKinase\t\tHomo sapiens (Human)\t40\t{B}\n",
        f'"id"\t"sequence"\n"1"\t"a"\t"{A}"\n"2"\t"b"\t"{B}"\n',
    ],
)
def test_names_win_over_positions_and_that_is_said(tmp_path, content):
    records, said = read(tmp_path, content)
    assert records == BOTH
    assert "by its name, not from" in said


@pytest.mark.parametrize(
    "content",
    [
        f"id,sequence\na,{A}\nb,{B}\n",
        f"id,type,seq\na,prot,{A}\nb,prot,{B}\n",
        f"seq_id,seq_type,seq,label\na,prot,{A},1\nb,prot,{B},0\n",
        f"id,sequence,,\na,{A},,\nb,{B},,\n",
        f"#id\tsequence\na\t{A}\nb\t{B}\n",
        f"# from UniProt, 2024\n#\nid,sequence\na,{A}\nb,{B}\n",
        f"\ufeffsep=;\r\nid;sequence\r\na;{A}\r\nb;{B}\r\n",
        f'"sep=,"\nid,sequence\na,{A}\nb,{B}\n',
        f"sep=|\nid|sequence\na|{A}\nb|{B}\n",
        f",,\nid,sequence,\na,{A},\nb,{B},\n",
    ],
)
def test_nothing_is_said_where_nothing_is_doubtful(tmp_path, content):
    assert read(tmp_path, content) == (BOTH, "")


@pytest.mark.parametrize(
    ("content", "columns", "expected", "words"),
    [
        (f"id,dna,protein\na,{GENE},{A}\n", Columns(seq_type="prot"), ("a", A), "'dna' (column 1) would fit too"),
        (f"id,dna,protein\na,{GENE},{A}\n", Columns(seq_type="gene"), ("a", GENE), "'protein' (column 2) would fit"),
        (f"id,sequence,sequence\na,{A},{B}\n", Columns(), ("a", A), "'sequence' (column 2) would fit too"),
        (f"id,x,x\na,{A},{B}\n", Columns(sequence="x"), ("a", A), "2 columns are called 'x'"),
        (f"id,name,sequence\na,c,{A}\n", Columns(), ("a", A), "ids are from 'id' (column 0"),
        (f",sequence\na,{A}\n", Columns(), ("a", A), "ids are from the first column, which has no name"),
        (f"id,sequence,other\na,{A},{B}\n", Columns(sequence="other"), ("a", B), ""),
        (f"id,sequence,other\na,{A},{B}\n", Columns(sequence="2", id="0"), ("a", B), ""),
        (f"id,sequence,other\na,{A},{B}\n", Columns(id="Sequence", sequence="OTHER"), (A, B), ""),
        (f"name,protein,sequence\na,kinase,{A}\n", Columns(label="protein"), ("a", A), ""),
    ],
)
def test_what_the_user_asks_for_wins_and_a_choice_is_said(tmp_path, content, columns, expected, words):
    records, said = read(tmp_path, content, columns)
    assert records == [expected]
    assert words in said and bool(words) == bool(said)


@pytest.mark.parametrize(
    "content",
    [
        "p1,KVLDSTAW\np2,WGAVLLNKV\np3,TTPVDLGAV\n",
        "p1,kvldstaw\np2,wgavllnkv\n",
        "p1,kvldstaw\np2,WGAVLLNKV\n",
        "p1,3.2,KVLDSTAW\np2,4.1,WGAVLLNKV\n",
        "p1,protein,KVLDSTAW\np2,protein,WGAVLLNKV\n",
        "p1,KVLDSTAW\n",
        "1,KVLD\n2,WGAV\n",
        f"seq,{A}\nb,{B}\n",
        f"A,B\na1,{A}\nb1,{B}\n",
    ],
)
def test_a_first_row_that_may_be_a_record_is_not_lost(tmp_path, content):
    with pytest.raises(InputError, match=r"line 1: .* looks like a record .* set `header` to `no`"):
        read(tmp_path, content)
    records, _ = read(tmp_path, content, Columns(header=False))
    assert len(records) == content.count("\n")
    if content.startswith("1,"):
        with pytest.raises(InputError, match="looks like a record"):
            read(tmp_path, content, Columns(sequence="1"))


@pytest.mark.parametrize(
    "header", ["id,x", "x,protein", "Gene,Tm_seq", "my_name,chain 1", "Protein,Sequence", "variant,mutated_sequence"]
)
def test_a_header_is_known_by_usual_names_or_by_cells_unlike_those_below(tmp_path, header):
    records, _ = read(tmp_path, f"{header}\na1,KVLDSTAW\nb2,WGAVLLNKV\n")
    assert records == [("a1", "KVLDSTAW"), ("b2", "WGAVLLNKV")]


@pytest.mark.parametrize(
    ("content", "columns", "words"),
    [
        (f"code,chain,location\nx1,{A},Nucleus\n", Columns(), "cells of column 'chain' look more like sequences"),
        (f"x1,{A},Nucleus\nx2,{B},Membrane\n", Columns(header=False), "By position they would be in column '?2"),
        (f"code,chain,kind\nx1,{A},k\n", Columns(label="kind", header=True), "that by position has the labels"),
        (f"sequence,stability\n{A},0.5\n", Columns(), "no column has a usual name for ids"),
        (f"My proteins,,\nid,sequence,x\na,{A},1\n", Columns(), "is above the row of column names, 'id,sequence,x'"),
        ("#id,seq\n#a,MKV\n", Columns(), "every line starts with `#`"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, content, columns, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, content, columns)


@pytest.mark.parametrize("again", ["id,sequence", "ID,Sequence", "name,seq"])
def test_a_second_row_of_names_is_a_problem(tmp_path, again):
    records, _ = read(tmp_path, f"id,sequence\na,{A}\n{again}\nb,{B}\n")
    assert records == [("a", A), (again.split(",")[0], "is another row of column names; remove it"), ("b", B)]


def test_a_row_whose_id_begins_with_a_number_sign_is_named(tmp_path):
    _, said = read(tmp_path, f"#1,{A}\n2,{B}\n", Columns(header=False))
    assert f"line 1, '#1,{A}'" in said


def test_words_for_missing_values_are_empty_sequences_but_ids(tmp_path):
    words = ["NA", "N/A", "nan", "NaN", "None", "NULL", "-", " NA ", "<NA>", "#N/A"]
    rows = "".join(f"{word.strip()},{word}\n" for word in words)
    records, said = read(tmp_path, f"id,sequence\n{rows}na,na\nx,NAN\n")
    assert records == [*((word.strip(), "") for word in words), ("na", "na"), ("x", "NAN")]
    assert "10 cells of sequences count as empty" in said and "such as 'NA' in line 2" in said


def test_pir(tmp_path):
    content = f">P1;CRAB_ANAPL\nALPHA CRYSTALLIN\n  MDITI HNPLI\n  SPSLR*\nC;Species: Anas\n\n>F1;b\n\n{B}*\n"
    records, said = read(tmp_path, content, name="in.pir")
    assert [(name, text.replace(" ", "").strip()) for name, text in records] == [
        ("CRAB_ANAPL", "MDITIHNPLI\nSPSLR"),
        ("b", B),
    ]
    assert "read as PIR" in said
    records, _ = read(tmp_path, f">P1;a\nx\n{A}*\n>b\nx\n{B}*\n>P1;c\nx\n{B}\n", name="in.pir")
    assert records[0] == ("a", f"\n{A}") and "no code of PIR" in records[1][1] and "must end in `*`" in records[2][1]
    records, said = read(tmp_path, f">P1;a\n{A}\n>P1;b\n{B}\n")
    assert records == [("P1;a", A), ("P1;b", B)] and "read as FASTA" in said
