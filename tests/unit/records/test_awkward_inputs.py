"""Files as users have them: one case for each possible mistake, with the expected outcome of each record."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucaflow.errors import InputError
from lucaflow.records.counts import Counts
from lucaflow.records.outcomes import Policies
from lucaflow.records.readers import Columns, read_records, zstd
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset
from lucaflow.store.format import hdf5_name

PAIRS = "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b\n"
NFD = unicodedata.normalize("NFD", "é")
LENIENT = {"invalid_characters": "drop", "duplicate_ids": "first", "type_mismatch": "accept", "empty_sequences": "drop"}
TWO = ">a\nMKV\n>b\nMW\n"
TWO_GOOD = ["a accepted MKV 0", "b accepted MW 0"]
A_GENE = "ACGTACGTACGTACGTACGT"


@dataclass(frozen=True)
class Case:
    """A file, how it is read, and its outcome.

    outcome: `id status sequence changed` for each record, or words of the error.
    """

    about: str
    content: str | bytes
    outcome: list[str] | str
    name: str = "in.fasta"
    seq_type: str = "prot"
    columns: Columns = field(default_factory=Columns)
    policies: tuple[tuple[str, str], ...] = ()


def case(about, content, outcome, name="in.fasta", seq_type="prot", columns=Columns(), **policies):  # noqa: B008
    return Case(about, content, outcome, name, seq_type, columns, tuple(policies.items()))


FORMATS = [
    case("plain FASTA", TWO, TWO_GOOD),
    case("gzip", gzip.compress(TWO.encode()), TWO_GOOD, "in.fasta.gz"),
    case("bzip2", bz2.compress(TWO.encode()), TWO_GOOD, "in.fasta.bz2"),
    case("xz", lzma.compress(TWO.encode()), TWO_GOOD, "in.fasta.xz"),
    case("zstd", zstd.compress(TWO.encode()), TWO_GOOD, "in.fasta.zst"),
    case("gzip named as if it were plain", gzip.compress(TWO.encode()), TWO_GOOD),
    case("several gzip members, as bgzip writes", gzip.compress(b">a\nMK") + gzip.compress(b"V\n>b\nMW\n"), TWO_GOOD),
    case("several zstd frames", zstd.compress(b">a\nMK") + zstd.compress(b"V\n>b\nMW\n"), TWO_GOOD),
    case("packed CSV", gzip.compress(b"id,seq\na,MKV\nb,MW\n"), TWO_GOOD, "in.csv.gz"),
    case("plain text named .gz", TWO, TWO_GOOD, "in.fasta.gz"),
    case("gzip cut short", gzip.compress(TWO.encode() * 99)[:-12], "damaged or cut short"),
    case("bzip2 cut short", bz2.compress(TWO.encode() * 99)[:-12], "damaged or cut short"),
    case("xz cut short", lzma.compress(TWO.encode() * 99)[:-12], "damaged or cut short"),
    case("zstd cut short", zstd.compress(TWO.encode() * 99)[:-6], "damaged or cut short"),
    case("gzip with a flipped byte", b"\x1f\x8b" + bytes(40), "damaged or cut short"),
    case("wrapped lines", ">a\nMK\nV\n>b\nM\nW\n", TWO_GOOD),
    case("no line feed at the end", ">a\nMKV\n>b\nMW", TWO_GOOD),
    case("Windows line ends", TWO.replace("\n", "\r\n"), TWO_GOOD),
    case("old Mac line ends", TWO.replace("\n", "\r"), TWO_GOOD),
    case("mixed line ends", ">a\r\nMK\rV\n>b\rMW", TWO_GOOD),
    case("byte order mark", "\ufeff" + TWO, TWO_GOOD),
    case("byte order mark before a CSV header", "\ufeffid,seq\na,MKV\n", ["a accepted MKV 0"], "in.csv"),
    case("blank lines everywhere", "\n\n>a\n\nMKV\n\n\n>b\nMW\n\n", TWO_GOOD),
    case("comments", ";x\n>a\n;y\nMKV\n;z\n>b\nMW\n", TWO_GOOD),
    case("a FASTA file with commas in its titles", ">a x,y,z\nMKV\n", ["a accepted MKV 0"], "in.txt"),
    case("FASTA named .csv by mistake", TWO, TWO_GOOD, "in.csv"),
    case("a table whose header starts with >", ">id,seq\na,MKV\nb,MW\n", TWO_GOOD, "in.csv"),
    case("upper-case ending", "id,seq\na,MKV\nb,MW\n", TWO_GOOD, "IN.CSV"),
    case("TSV named .csv", "id\tseq\na\tMKV\nb\tMW\n", TWO_GOOD, "in.csv"),
    case("CSV named .txt", "id,seq\na,MKV\nb,MW\n", TWO_GOOD, "in.txt"),
    case("semicolons between columns", "id;seq\na;MKV\nb;MW\n", TWO_GOOD, "in.csv"),
    case("semicolons, and commas in numbers", "id;mass;seq\na;1,5;MKV\nb;2,5;MW\n", TWO_GOOD, "in.csv"),
    case("semicolons, and a first column without a name", ";id;seq\n0;a;MKV\n1;b;MW\n", TWO_GOOD, "in.csv"),
    case("one column", "MKV\nMW\n", "neither FASTA nor a table", "in.csv"),
    case("sequences without any header", "MKV\nMW\n", "neither FASTA nor a table"),
    case("text before the first header", "x\n>a\nMKV\n", "neither FASTA nor a table"),
    case("remarks before the first header", f"# x, y\n#z\n{TWO}", TWO_GOOD),
    case("a sequence above the first header", ";c\nMKV\n>a\nMKV\n", "line 2: 'MKV' is before the first header"),
    case("Latin-1", ">\xe9\nMKV\n".encode("latin-1"), "not UTF-8 text"),
    case("UTF-16", TWO.encode("utf-16"), "not UTF-8 text but UTF-16"),
    case("a line of a million residues", f">a\nM{'K' * 10**6}\n", [f"a accepted M{'K' * 10**6} 0"]),
]
COLUMNS = [
    case("three columns: the third is the sequence", "id,type,seq\na,prot,MKV\n", ["a accepted MKV 0"], "in.csv"),
    case("four columns: the third, too", "id,type,seq,x\na,prot,MKV,1\n", ["a accepted MKV 0"], "in.csv"),
    case("columns by name", "x,n,s\n1,a,MKV\n", ["a accepted MKV 0"], "in.csv", columns=Columns(id="n", sequence="s")),
    case("by index", "x,n,s\n1,a,MKV\n", ["a accepted MKV 0"], "in.csv", columns=Columns(id="1", sequence="2")),
    case("from the end", "x,n,s\n1,a,MKV\n", ["a accepted MKV 0"], "in.csv", columns=Columns(id="-2", sequence="-1")),
    case("a name that is a number", "0,1\na,MKV\n", ["MKV accepted MKV 0"], "in.csv", columns=Columns(id="1")),
    case("no such column", "id,seq\na,MKV\n", "no column 'name' for the ids", "in.csv", columns=Columns(id="name")),
    case("an index too large", "id,seq\na,MKV\n", "no column '2' for the seq", "in.csv", columns=Columns(sequence="2")),
    case("no header, declared", "a,MKV\nb,MW\n", TWO_GOOD, "in.csv", columns=Columns(header=False)),
    case("no header, not declared", f"a,{A_GENE}\n", "looks like a record", "in.csv"),
    case("a header that looks like a record, declared", f"a,{A_GENE}\nb,MW\n", ["b accepted MW 0"], "in.csv",
         columns=Columns(header=True)),
    case("quoted cells", 'id,seq\n"a,1","MKV"\n', ["a,1 accepted MKV 0"], "in.csv"),
    case("quotation marks inside", 'id,seq\n"a""b",MKV\n', ['a"b accepted MKV 0'], "in.csv"),
    case("a sequence wrapped in its cell", 'id,seq\na,"MK\nV"\nb,MW\n', TWO_GOOD, "in.csv"),
    case("a quotation mark that is never closed", 'id,seq\na,"MKV\nb,MW\n', "cannot be read", "in.csv"),
    case("blank rows", "id,seq\n\na,MKV\n,\n\nb,MW\n", TWO_GOOD, "in.csv"),
    case("a row that is too short", "id,x,seq\na,1,MKV\nb\n", "1 column, expected at least 3", "in.csv"),
    case("a comma without quotation marks", "id,desc,seq\na,kinase, alpha,MKV\n", "4 columns, expected 3", "in.csv"),
    case("commas at the end of a row", "id,seq\na,MKV,,\n", ["a accepted MKV 0"], "in.csv"),
    case("a quotation mark that takes in the next row", 'id\tx\tseq\na\t"5 end\tMKL\nb\t3 end"\tMKV\n',
         "quotation marks around several rows", "in.tsv"),
    case("the same in CSV", 'id,x,seq\na,"5 end,MKL\nb,3 end",MKV\n',
         "line 2, id 'a': quotation marks around several rows", "in.csv"),
    case("the same, shifted", 'id,x,seq,y,z\na,"5 end,MKL,1,2\nb,3 end,MKW",MKV,2\n', "around several rows", "in.csv"),
    case("the same in the header", 'id,"x,seq\na,y",MKV\n', "line 1: quotation marks around several rows", "in.csv"),
    case("a cell of two lines", 'id,x,seq\na,"one, two\nthree",MKV\n', ["a accepted MKV 0"], "in.csv"),
    case("a short peptide on the first line", "a,GIGAVLKVLTTGL\nb,MW\n", "looks like a record", "in.csv"),
    case("a short gene on the first line", "a,acgtacgt\n", "looks like a record", "in.csv", seq_type="gene"),
    case("a header in capitals", "ID,PROTEINSEQUENCE\na,MKV\nb,MW\n", TWO_GOOD, "in.csv"),
    case("columns asked of a FASTA file", TWO, "FASTA has an id", columns=Columns(id="name")),
    case("labels asked of a FASTA file", TWO, "FASTA has no column", columns=Columns(label="x")),
]  # fmt: skip
IDS = [
    case("words that tables read as numbers or nothing",
         "id,seq\nNA,MKA\nnan,MKC\n001,MKD\n1e5,MKE\nTRUE,MKF\nNone,MKG\n,MKH\n", "1 of 7 records cannot be", "in.csv"),
    case("the same without the empty one", "id,seq\nNA,MKA\nnan,MKC\n001,MKD\n1e5,MKE\nTRUE,MKF\nNone,MKG\n",
         ["NA accepted MKA 0", "nan accepted MKC 0", "001 accepted MKD 0", "1e5 accepted MKE 0", "TRUE accepted MKF 0",
          "None accepted MKG 0"], "in.csv"),
    case("only the first word is the id", ">sp|P1|X/Y a protein\nMKV\n", ["sp|P1|X/Y accepted MKV 0"]),
    case("a tab ends the id, too", ">a\tb\nMKV\n", ["a accepted MKV 0"]),
    case("blanks before the id", ">  a b\nMKV\n", ["a accepted MKV 0"]),
    case("two > signs", ">>a\nMKV\n", [">a accepted MKV 0"]),
    case("blanks inside a CSV id", "id,seq\na b,MKV\n", ["a b accepted MKV 0"], "in.csv"),
    case("blanks around a CSV id", "id,seq\n a ,MKV\n", ["a accepted MKV 0"], "in.csv"),
    case("a path as an id", ">../../x\nMKV\n", ["../../x accepted MKV 0"]),
    case("300 characters", f">{'x' * 300}\nMKV\n", [f"{'x' * 300} accepted MKV 0"]),
    case("Unicode", ">Ωμέγα\nMKV\n", ["Ωμέγα accepted MKV 0"]),
    case("no id", ">\nMKV\n", "the record has no id"),
    case("a control character", ">a\x00b\nMKV\n", "has the control character"),
    case("ids that differ in case", ">a\nMKV\n>A\nMW\n", ["a accepted MKV 0", "A accepted MW 0"]),
    case("ids that LucaOne's file names confuse", ">x/y\nMKV\n>x|y\nMW\n", ["x/y accepted MKV 0", "x|y accepted MW 0"]),
    case("the same id and sequence", TWO + ">a\nMKV\n", "the same id and sequence are on line 1"),
    case("kept once", TWO + ">a\nmkv\n", [*TWO_GOOD, "a duplicate MKV 3"], duplicate_ids="first"),
    case("the same id, another sequence", TWO + ">a\nMKW\n", "is on line 1 with another sequence", **LENIENT),
    case("one id in two Unicode forms", f">é\nMKV\n>{NFD}\nMW\n", "is on line 1 with another sequence"),
    case("another id, the same sequence", ">a\nMKV\n>b\nMKV\n", ["a accepted MKV 0", "b accepted MKV 0"]),
]  # fmt: skip
RESIDUES = [
    case("lower case", ">a\nmkv\n", ["a accepted MKV 3"]),
    case("a stop at the end", ">a\nMKV*\n", ["a accepted MKV 1"]),
    case("stops and blanks at the end", ">a\nMKV* *\n", ["a accepted MKV 3"]),
    case("a stop at the end of each line", ">a\nMKV*\nMW*\n", "'*' at column 4 of line 1"),
    case("blanks inside", ">a\nMKV MW\n", ["a accepted MKVMW 1"]),
    case("numbered blocks, as GenBank prints them", ">a\n  1 mkv mw\n 61 mk\n", "'1' at column 3 of line 1"),
    case("the same with `drop`", ">a\n  1 mkv mw\n 61 mk\n", ["a accepted MKVMWMK 16"], invalid_characters="drop"),
    case("gaps refused", ">a\nMK-V\n", "'-' at position 3 is not a residue code"),
    case("gaps dropped", ">a\nMK-V..M\n", ["a accepted MKVM 3"], invalid_characters="drop"),
    case("gaps kept as unknown", ">a\nMK-V..M\n", ["a accepted MKXVXXM 3"], invalid_characters="unknown"),
    case("gaps in a gene kept as unknown", ">a\nAC-GT\n", ["a accepted ACNGT 1"], seq_type="gene",
         invalid_characters="unknown"),
    case("an inner stop", ">a\nMK*V\n", "'*' at position 3"),
    case("RNA", ">a\nACGUacgu\n", ["a accepted ACGTACGT 5"], seq_type="gene"),
    case("selenocysteine stays U", ">a\nMKUV\n", ["a accepted MKUV 0"]),
    case("ambiguity codes of proteins", ">a\nMBJOUXZ\n", ["a accepted MBJOUXZ 0"]),
    case("ambiguity codes of genes", ">a\nACGTACGTACGRYSWKMBDHVN\n", ["a accepted ACGTACGTACGRYSWKMBDHVN 0"],
         seq_type="gene"),
    case("a letter of another script", ">a\nMKВ\n", "'В' at position 3"),
    case("a letter that becomes two in upper case", ">a\nMKß\n", ["a accepted MKX 1"], invalid_characters="unknown"),
    case("a full-width letter", ">a\nMＫV\n", "'Ｋ' at position 2"),
]  # fmt: skip
TYPES = [
    case("a gene called a protein", f">a\n{A_GENE}\n", "looks like a nucleotide sequence"),
    case("a protein called a gene", ">a\nMKVLAWRRKLAWQEFDIP\n", "looks like a protein", seq_type="gene"),
    case("a protein called a gene, accepted", ">a\nMKVLAW\n", ["a accepted MKVLAW 0"], seq_type="gene",
         type_mismatch="accept"),
    case("a short peptide of A, C, G and T", ">a\nGATTACA\n", ["a accepted GATTACA 0"]),
    case("a protein of A, C, G and T that starts with M", f">a\nM{A_GENE}\n", [f"a accepted M{A_GENE} 0"]),
    case("the same behind a gap", f">a\n-M{A_GENE}\n", [f"a accepted M{A_GENE} 1"], invalid_characters="drop"),
    case("a gene of ambiguity codes", f">a\n{'RY' * 15}\n", [f"a accepted {'RY' * 15} 0"], seq_type="gene"),
    case("all N", f">a\n{'N' * 30}\n", [f"a accepted {'N' * 30} 0"], seq_type="gene"),
]  # fmt: skip
EMPTINESS = [
    case("an empty file", "", "holds no records"),
    case("blank lines alone", "\n \n\n", "holds no records"),
    case("an empty file, packed", gzip.compress(b""), "holds no records"),
    case("a header line alone", "id,seq\n", "holds no records", "in.csv"),
    case("empty cells alone", '""\t""\n', "holds no records", "in.tsv"),
    case("comments alone", ";x\n;y\n", "holds no records"),
    case("a record without a sequence", ">a\n>b\nMW\n", "line 1, id 'a': no residue in the sequence"),
    case("dropped", ">a\n>b\nMW\n>c\n", ["a dropped  0", "b accepted MW 0", "c dropped  0"], empty_sequences="drop"),
    case("an empty cell", "id,seq\na,\nb,MW\n", ["a dropped  0", "b accepted MW 0"], "in.csv", empty_sequences="drop"),
    case("nothing but a stop", ">a\n*\n>b\nMW\n", ["a dropped  1", "b accepted MW 0"], empty_sequences="drop"),
    case("nothing but gaps, dropped", ">a\n---\n>b\nMW\n", ["a dropped  3", "b accepted MW 0"], **LENIENT),
    case("nothing left at all", ">a\n---\n", "dropped, and no record is left: no residue", **LENIENT),
]
PAIRED = [
    case("a pair", f"{PAIRS}x,y,gene,prot,acgu,MKV*\n", ["x accepted ACGT 4", "y accepted MKV 1"], "in.csv",
         columns=Columns(pairs=True)),
    case("one id for a gene and its protein", f"{PAIRS}x,x,gene,prot,ACGT,MKV\n",
         ["x accepted ACGT 0", "x accepted MKV 0"], "in.csv", columns=Columns(pairs=True)),
    case("a protein in two pairs", f"{PAIRS}x,y,prot,prot,MKV,MW\nx,z,prot,prot,MKV,ML\n",
         ["x accepted MKV 0", "y accepted MW 0", "x accepted MKV 0", "z accepted ML 0"], "in.csv",
         columns=Columns(pairs=True)),
    case("a protein with itself", f"{PAIRS}x,x,prot,prot,MKV,MKV\n", ["x accepted MKV 0"] * 2, "in.csv",
         columns=Columns(pairs=True)),
    case("an id with two sequences", f"{PAIRS}x,y,prot,prot,MKV,MW\nx,z,prot,prot,MKW,ML\n",
         "line 3, id 'x': side a: the same id is on line 2 with another", "in.csv", columns=Columns(pairs=True)),
    case("a bad side", f"{PAIRS}x,y,gene,prot,ACGT,M-\n", "id 'y': side b: '-' at position 2", "in.csv",
         columns=Columns(pairs=True)),
    case("types that are none", f"{PAIRS}x,y,cds,prot,ACGT,MK\n", "side a: seq_type_a is 'cds', expected gene or prot",
         "in.csv", columns=Columns(pairs=True)),
    case("other words for the types", f"{PAIRS}x,y,DNA,protein,ACGT,MK\n", ["x accepted ACGT 0", "y accepted MK 0"],
         "in.csv", columns=Columns(pairs=True)),
    case("a sequence of a pair that is missing", f"{PAIRS}x,y,gene,prot,NA,MK\n", "side a: no residue in the sequence",
         "in.csv", columns=Columns(pairs=True)),
    case("a header of pairs in capitals", f"{PAIRS.upper()}x,y,gene,prot,ACGT,MK\n",
         ["x accepted ACGT 0", "y accepted MK 0"], "in.csv", columns=Columns(pairs=True)),
    case("a header of pairs twice", f"{PAIRS}x,y,gene,prot,ACGT,MK\n{PAIRS}", "line 3, id '': side a: is another row",
         "in.csv", columns=Columns(pairs=True)),
    case("types that were swapped", f"{PAIRS}x,y,prot,gene,{A_GENE},MKVLAWRRKLAWQEFDIPMK\n", "2 of 2 records cannot",
         "in.csv", columns=Columns(pairs=True)),
    case("a pair twice with other sequences", f"{PAIRS}x,y,prot,prot,MKV,MW\nx,y,prot,prot,MKVL,MWW\n",
         "2 of 4 records cannot be used", "in.csv", columns=Columns(pairs=True), duplicate_ids="first"),
    case("a tab in a type", f"{PAIRS}x,y,ge\tne,prot,ACGT,MKV\n", "seq_type_a is 'ge\\tne', expected gene or prot",
         "in.csv", columns=Columns(pairs=True)),
    case("blanks around the sequence of a side", f"{PAIRS}x,y,gene,prot, ACGT,MKV \n",
         ["x accepted ACGT 1", "y accepted MKV 1"], "in.csv", columns=Columns(pairs=True)),
    case("one side empty", f"{PAIRS}x,y,gene,prot,,MKV\nv,w,gene,prot,ACGT,MK\n",
         ["x dropped  0", "y dropped  0", "v accepted ACGT 0", "w accepted MK 0"], "in.csv",
         columns=Columns(pairs=True), empty_sequences="drop"),
    case("the same pair twice", f"{PAIRS}x,y,gene,prot,ACGT,MK\nx,y,gene,prot,ACGT,MK\n", "the same pair of ids",
         "in.csv", columns=Columns(pairs=True)),
    case("a column of pairs is missing", "seq_id_a,seq_id_b,seq_type_a,seq_a,seq_b\n", "missing: seq_type_b", "in.csv",
         columns=Columns(pairs=True)),
    case("pairs without a header", "x,y,gene,prot,ACGT,MK\n", ["x accepted ACGT 0", "y accepted MK 0"], "in.csv",
         columns=Columns(pairs=True, header=False)),
]  # fmt: skip
CASES = [*FORMATS, *COLUMNS, *IDS, *RESIDUES, *TYPES, *EMPTINESS, *PAIRED]


def run(folder, one):
    """Normalise the file of a case; return a line for each record of records.tsv, and the counts of counts.json."""
    path = folder / one.name
    path.write_bytes(one.content if isinstance(one.content, bytes) else one.content.encode())
    names = ("records.tsv", "distinct.fasta", "labels.tsv", "counts.json", "problems.tsv")
    files = NormalisedFiles(*(folder / "out" / name for name in names))
    records = read_records(path, one.columns)
    normalise_dataset(records, path, one.seq_type, Policies(**dict(one.policies)), files)
    lines = files.sequences.read_text().splitlines()
    sequence_of = dict(zip((line.split()[0][1:] for line in lines[::2]), lines[1::2], strict=True))
    with files.records.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert [row["record"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert {row["digest"] for row in rows if row["status"] == "accepted"} == set(sequence_of)
    for row in rows:
        assert int(row["length"]) == len(sequence_of.get(row["digest"], ""))
        assert unquote(hdf5_name(row["id"])) == row["id"]
    found = [f"{row['id']} {row['status']} {sequence_of.get(row['digest'], '')} {row['changed']}" for row in rows]
    return found, Counts.read(files.counts)


def test_there_are_enough_cases_and_no_two_are_about_the_same():
    assert len({(one.about, one.name) for one in CASES}) == len(CASES) >= 80


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.about.replace(" ", "-"))
def test_awkward_inputs(tmp_path, one):
    if isinstance(one.outcome, str):
        with pytest.raises(InputError) as error:
            run(tmp_path, one)
        assert one.outcome in str(error.value)
        assert not (tmp_path / "out" / "records.tsv").exists()
        return
    found, counts = run(tmp_path, one)
    assert found == one.outcome
    assert counts.status.total() == len(found)
    assert counts.changed == sum(int(line.rsplit(" ", 1)[1]) for line in found)


PIECES = st.sampled_from(
    [">", ">a", ">b x", "\n", "\r\n", "\r", "MKV", "acgu", "-", "*", ";", " ", "\t", ",", '"', "é", "id,seq"]
)
TEXTS = st.text(max_size=80) | st.lists(PIECES, max_size=25).map("".join)


@settings(max_examples=300)
@given(
    TEXTS | st.binary(max_size=60),
    st.sampled_from(["in.fasta", "in.csv", "in.tsv"]),
    st.sampled_from(
        [Columns(), Columns(header=False), Columns(id="0", sequence="1"), Columns(pairs=True, header=False)]
    ),
    st.sampled_from([(), tuple(LENIENT.items())]),
)
def test_any_file_is_accounted_for_or_refused_with_one_error(tmp_path_factory, content, name, columns, policies):
    """The only error is InputError, and every record has an outcome."""
    folder = tmp_path_factory.mktemp("any")
    one = Case("", content, "", name, "prot", columns, policies)
    try:
        _, counts = run(folder, one)
    except (InputError, UnicodeEncodeError) as error:
        assert isinstance(error, InputError) or "surrogates" in str(error)
        return
    assert counts.status["accepted"] >= 1
    assert counts.status["problem"] == 0


LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    "one",
    [
        case("a long id", f">{LONG}\nMKV\n>{LONG}\nMKL\n", "the same id is on line 1 with another sequence"),
        case("a long id that is refused", f'id,seq\n"{LONG}\x01",MKV\n', "has the control character", "in.csv"),
        case("a long type", f"{PAIRS}x,y,{LONG},prot,ACGT,MK\n", "expected gene or prot", "in.csv",
             columns=Columns(pairs=True)),
        case("many columns", f"id,{'x,' * 100_000}\n", "The file has: id, x, x", "in.csv", columns=Columns(id="name")),
        case("many columns, none of a pair", "x," * 100_000, "The file has: x, x", "in.csv",
             columns=Columns(pairs=True)),
        case("a name of a column that is long", "id,seq\n", "no column 'xxx", "in.csv", columns=Columns(id=LONG)),
        case("a long line that is no record", LONG, "neither FASTA nor a table"),
        case("a long line before the first header", f";\n{LONG}\n>a\nMK\n", "is before the first header"),
        case("a long row that looks like a record", f"a,{'MK' * 10**6}\n", "looks like a record", "in.csv"),
    ],
    ids=lambda one: one.about.replace(" ", "-"),
)  # fmt: skip
def test_messages_show_the_first_200_characters_of_a_value(tmp_path, one):
    with pytest.raises(InputError) as error:
        run(tmp_path, one)
    assert one.outcome in str(error.value)
    assert len(str(error.value).replace(str(tmp_path), "")) < 1000
