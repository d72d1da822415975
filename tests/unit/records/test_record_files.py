"""From records to files: every record has an outcome, repeated records are found, and all problems are listed."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucaflow.errors import InputError
from lucaflow.records.duplicates import SeenRecords, repeated
from lucaflow.records.outcomes import Policies, digest_of
from lucaflow.records.readers import RawRecord
from lucaflow.records.record_files import RECORD_COLUMNS, NormalisedFiles, normalise_dataset

ACCEPTING = Policies("drop", "first", "accept", "drop")


def files_in(folder):
    return NormalisedFiles(
        *(folder / name for name in ("records.tsv", "distinct.fasta", "labels.tsv", "counts.json", "problems.tsv"))
    )


def test_every_record_is_accounted_for(tmp_path):
    records = [
        RawRecord(1, "a", 'with "quotes" and\ttab', "MKV", "x"),
        RawRecord(3, "b", "", "mkv", "y"),
        RawRecord(5, "a", "", "MKV", ""),
        RawRecord(7, "c", "", "--", ""),
        RawRecord(9, "d", "", "MW", ""),
    ]
    files = files_in(tmp_path)
    counts = normalise_dataset(records, tmp_path / "in.csv", "prot", ACCEPTING, files)
    with files.records.open(newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert tuple(rows[0]) == RECORD_COLUMNS
    assert [row["status"] for row in rows] == ["accepted", "accepted", "duplicate", "dropped", "accepted"]
    assert [row["changed"] for row in rows] == ["0", "3", "0", "2", "0"]
    assert rows[0]["description"] == 'with "quotes" and\ttab'
    assert rows[3]["digest"] == ""
    mkv, mw = digest_of("prot", "MKV"), digest_of("prot", "MW")
    assert files.sequences.read_text() == f">{mkv} prot\nMKV\n>{mw} prot\nMW\n"
    assert (counts.distinct, counts.residues, sum(counts.status.values())) == (2, 5, 5)
    assert files.labels.read_text().splitlines()[:3] == ["record\tlabel", "1\tx", "2\ty"]
    assert not files.problems.exists()


def test_a_refused_dataset_leaves_its_problems_and_nothing_else(tmp_path):
    files = files_in(tmp_path)
    records = [RawRecord(n, f"r{n}", "", "M-") for n in range(1, 30)]
    with pytest.raises(InputError, match="29 of 29 records cannot be used") as error:
        normalise_dataset(records, tmp_path / "in.csv", "prot", Policies(), files)
    assert str(error.value).count("line ") == 10
    assert [path.name for path in tmp_path.iterdir()] == ["problems.tsv"]
    assert len(files.problems.read_text().splitlines()) == 30
    normalise_dataset([RawRecord(1, "r", "", "M")], tmp_path / "in.csv", "prot", Policies(), files)
    assert not files.problems.exists()


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def records():
        yield RawRecord(1, "r", "", "M")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        normalise_dataset(records(), tmp_path / "in", "prot", Policies(), files_in(tmp_path))
    assert not list(tmp_path.iterdir())


def normalised(folder, records, seq_type="prot", **policies):
    """Normalise (id, text) pairs, one on each line; return (status, reason) of each record."""
    files = files_in(folder)
    raw = [RawRecord(line, identifier, "", text) for line, (identifier, text) in enumerate(records, start=1)]
    normalise_dataset(raw, folder / "in", seq_type, Policies(**policies), files)
    return [(row["status"], row["reason"]) for row in rows_of(files.records)]


def rows_of(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_duplicates(tmp_path):
    found = normalised(tmp_path, [("a", "MKV"), ("b", "MW"), ("a", "mkv*")], duplicate_ids="first")
    assert found == [("accepted", ""), ("accepted", ""), ("duplicate", "same id and sequence as on line 1")]
    with pytest.raises(InputError, match="line 2, id 'a': the same id and sequence are on line 1; remove one"):
        normalised(tmp_path, [("a", "MKV"), ("a", "MKV")])
    with pytest.raises(InputError, match="line 3, id 'a': the same id is on line 1 with another sequence"):
        normalised(tmp_path, [("a", "MKV"), ("b", "MKV"), ("a", "MKW")], duplicate_ids="first")
    composed, decomposed = "\u00e9", unicodedata.normalize("NFD", "\u00e9")
    assert normalised(tmp_path, [(composed, "MKV"), (decomposed, "MKV")], duplicate_ids="first")[1][0] == "duplicate"


def test_a_refused_record_has_its_id_as_well(tmp_path):
    """Its sequence is unknown. So a repeated id is a problem only where it is one with any sequence."""
    records = [("a", "MK-V"), ("a", "MKV"), ("a", "MAA"), ("b", "MKV"), ("b", "MK-"), ("c", "-"), ("d", "MK")]
    with pytest.raises(InputError, match="4 of 7 records cannot be used") as refused:
        normalised(tmp_path, records, duplicate_ids="first")
    assert "line 3, id 'a': the same id is on line 2 with another sequence" in str(refused.value)
    assert [row["line"] for row in rows_of(tmp_path / "problems.tsv")] == ["1", "3", "5", "6"]
    with pytest.raises(InputError, match="5 of 7 records cannot be used") as refused:
        normalised(tmp_path, records)
    assert "line 2, id 'a': the same id is on line 1; ids must be unique" in str(refused.value)
    assert "`unknown`; and the same id is on line 4; ids must be unique" in str(refused.value)


def test_one_bad_letter_in_many_pairs_is_one_problem(tmp_path):
    hub = ("hub", "prot", "MKAVL")
    pairs = [pair(n, (f"g{n}", "gene", "ACGT"), ("hub", "prot", "MK1VL") if n == 1 else hub) for n in range(1, 9)]
    with pytest.raises(InputError, match="1 of 16 records cannot be used"):
        normalise_dataset([side for sides in pairs for side in sides], tmp_path, "", Policies(), files_in(tmp_path))


def test_where_all_is_dropped_each_record_is_named(tmp_path):
    raw = [RawRecord(1, "a", "long " * 40_000, "")]
    with pytest.raises(InputError, match="dropped, and no record is left"):
        normalise_dataset(raw, tmp_path / "in", "prot", ACCEPTING, files_in(tmp_path))
    with pytest.raises(InputError, match="2 of 2 records cannot be used:\n  line 1, id 'a': dropped, and no record is"):
        normalised(tmp_path, [("a", ""), ("b", "--")], empty_sequences="drop", invalid_characters="drop")
    assert [row["id"] for row in rows_of(tmp_path / "problems.tsv")] == ["a", "b"]
    assert [path.name for path in tmp_path.iterdir()] == ["problems.tsv"]
    with pytest.raises(InputError, match="the file holds no records"):
        normalised(tmp_path, [])
    assert not (tmp_path / "problems.tsv").exists()


def test_problems_of_all_kinds_are_listed_in_the_order_of_the_records(tmp_path):
    records = [("a", "MKV"), ("b", "M-"), ("a", "MKW"), ("", "MKV"), ("a", "MKV")]
    with pytest.raises(InputError, match="4 of 5 records cannot be used"):
        normalised(tmp_path, records)
    assert [row["line"] for row in rows_of(tmp_path / "problems.tsv")] == ["2", "3", "4", "5"]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["MKV", "MW", "mkv", "MKVL", ""])), max_size=30))
def test_repeats_are_what_a_plain_table_says(tmp_path_factory, records):
    """Compare with dictionaries: a repeated id is a duplicate, or a problem if its sequence differs."""
    folder = tmp_path_factory.mktemp("plain")
    sequence_of, expected, distinct = {}, [], []
    conflict = False
    for identifier, text in records:
        sequence = text.upper()
        if not sequence:
            expected.append("dropped")
        elif sequence_of.setdefault(identifier, (sequence, len(expected))) == (sequence, len(expected)):
            expected.append("accepted")
        else:
            conflict |= sequence_of[identifier][0] != sequence
            expected.append("duplicate")
        if sequence and sequence not in distinct:
            distinct.append(sequence)
    try:
        found = normalised(folder, records, duplicate_ids="first", empty_sequences="drop")
    except InputError:
        assert conflict or "accepted" not in expected
        return
    assert not conflict
    assert [status for status, _ in found] == expected
    assert (folder / "distinct.fasta").read_text().splitlines()[1::2] == distinct


@given(st.lists(st.integers(-3, 3), max_size=50))
def test_repeated_integers(keys):
    assert repeated(np.array(keys, dtype=np.int64)).tolist() == [keys.count(key) > 1 for key in keys]


def test_digests_that_begin_alike_are_told_apart():
    seen = SeenRecords()
    digests = [b"a" * 32, b"a" * 31 + b"b", b"a" * 32, b"c" * 32, b"a" * 8 + b"d" * 24]
    for digest in digests:
        seen.add(7, digest, 1)
    assert seen.first_occurrences().tolist() == [True, True, False, True, True]
    assert seen.repeated_ids().all()


def pair(number, *sides, line=None):
    """Yield two records, given id, type and text of each."""
    for side, (identifier, seq_type, text) in zip("ab", sides, strict=True):
        yield RawRecord(line or number + 1, identifier, "", text, "", seq_type, str(number), side)


def test_pairs(tmp_path):
    """Both sides are normalised; each distinct sequence is written once; a gene and a protein may have the same id."""
    gene, protein = ("x", "gene", "acgu"), ("x", "prot", "MKV*")
    records = [
        *pair(1, gene, protein),
        *pair(2, gene, ("y", "prot", "MW")),
        *pair(3, gene, ("z", "prot", "--")),
        *pair(4, gene, protein),
    ]
    files = files_in(tmp_path)
    counts = normalise_dataset(records, tmp_path / "in", "", ACCEPTING, files)
    rows = rows_of(files.records)
    assert [(row["pair"], row["side"], row["seq_type"], row["status"]) for row in rows] == [
        ("1", "a", "gene", "accepted"), ("1", "b", "prot", "accepted"),
        ("2", "a", "gene", "accepted"), ("2", "b", "prot", "accepted"),
        ("3", "a", "gene", "dropped"), ("3", "b", "prot", "dropped"),
        ("4", "a", "gene", "duplicate"), ("4", "b", "prot", "duplicate"),
    ]  # fmt: skip
    assert rows[4]["reason"] == "the other side of the pair has no residue in its sequence"
    assert rows[7]["reason"] == "same pair of ids as on line 2"
    assert (counts.distinct, counts.residues) == (3, 9)
    assert files.sequences.read_text().splitlines()[1::2] == ["ACGT", "MKV", "MW"]


def test_the_same_letters_of_a_gene_and_of_a_protein_are_two_sequences(tmp_path):
    files = files_in(tmp_path)
    normalise_dataset(pair(1, ("x", "gene", "ACGT"), ("y", "prot", "ACGT")), tmp_path / "in", "", ACCEPTING, files)
    headers = files.sequences.read_text().splitlines()[::2]
    assert [header.split()[1] for header in headers] == ["gene", "prot"]
    assert len({header.split()[0] for header in headers}) == 2


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("xuv")), min_size=1, max_size=20))
def test_repeated_pairs_are_what_a_plain_table_says(tmp_path_factory, ids):
    """The first pair of two ids is accepted, whatever their other pairs. If either sequence is empty, it is dropped."""
    text = {"gene": {"x": "acgt", "y": "ACGT", "z": ""}, "prot": {"x": "MKV", "u": "MKV", "v": ""}}
    folder = tmp_path_factory.mktemp("plain")
    records, expected = list[RawRecord](), list[str]()
    for number, (a, b) in enumerate(ids, start=1):
        records += pair(number, (a, "gene", text["gene"][a]), (b, "prot", text["prot"][b]))
        dropped, again = "z" in a or "v" in b, (a, b) in ids[: number - 1]
        expected += ["dropped" if dropped else "duplicate" if again else "accepted"] * 2
    files = files_in(folder)
    try:
        counts = normalise_dataset(records, folder / "in", "", ACCEPTING, files)
    except InputError:
        assert "accepted" not in expected
        return
    assert [row["status"] for row in rows_of(files.records)] == expected
    assert counts.status == Counter(expected)
    assert files.sequences.read_text().splitlines()[1::2] in (["ACGT", "MKV"], ["MKV", "ACGT"])


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (list(pair(1, ("x", "gene", "ACGT"), ("y", "prot", "M-"))), "line 2, id 'y': side b: '-' at position 2"),
        (
            [
                *pair(1, ("x", "gene", "ACGT"), ("y", "prot", "MK")),
                *pair(2, ("x", "gene", "ACGG"), ("z", "prot", "MK")),
            ],
            "line 3, id 'x': side a: the same id is on line 2 with another sequence",
        ),
        (
            [
                *pair(1, ("x", "gene", "ACGT"), ("y", "prot", "MK")),
                *pair(2, ("x", "gene", "ACGT"), ("y", "prot", "MK")),
            ],
            "line 3, id 'y': side b: the same pair of ids is on line 2",
        ),
        (list(pair(1, ("x", "gene", ""), ("", "prot", "MK"))), "2 of 2 records cannot be used"),
    ],
)
def test_pairs_that_cannot_be_used(tmp_path, records, words):
    with pytest.raises(InputError, match=words):
        normalise_dataset(records, tmp_path / "in", "", Policies(), files_in(tmp_path))
