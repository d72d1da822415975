"""Records, lines and headers without end: one problem or one error, and little memory. The limit is lowered for it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import tracemalloc
from pathlib import Path

import pytest

from lucaflow.errors import InputError
from lucaflow.records import fasta, layouts, rows
from lucaflow.records.outcomes import Policies
from lucaflow.records.readers import Columns, RawRecord, read_records, zstd
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset

LIMIT = 200_000
ENDLESS = 100 * LIMIT
RANDOM = bytes(random.Random(0).choices(b"ACDEFGHIKLMNPQRSTVWY", k=LIMIT))
TOO_LONG = "longer than 300,000,000 characters"
PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd.compress}


@pytest.fixture(autouse=True)
def low_limit(monkeypatch):
    for module in (fasta, layouts, rows):
        monkeypatch.setattr(module, "LONGEST_RECORD", LIMIT)


def read(path: Path, content: bytes, columns: Columns = Columns()) -> list[RawRecord]:  # noqa: B008
    path.write_bytes(content)
    return list(read_records(path, columns))


@pytest.mark.parametrize(
    ("packed", "start", "unit", "said"),
    [
        ("gz", b"", b"\0", "neither FASTA nor a table"),
        ("gz", b"", b" ", "the file holds no records"),
        ("gz", b"", b";", f"line 1: a line before the first header line ('>') is {TOO_LONG}"),
        ("gz", b">a\nMK\n>b", b"x", "line 3, id 'bxx"),
        ("gz", b">a\nMK\n>b x\n", b"MKVLAW\n", f"line 3, id 'b': {TOO_LONG}"),
        ("bz2", b">a\nMK\n>b x\n", RANDOM, f"line 3, id 'b': {TOO_LONG}"),
        ("xz", b">a\nMK\n>b x\n", b"MKVLAW", f"line 3, id 'b': {TOO_LONG}"),
        ("zst", b">a\nMK\n>b x\n", b"MKVLAW", f"line 3, id 'b': {TOO_LONG}"),
        ("gz", b"id,seq\na,MK\nb,", b"M", "line 3, id '': a row of more than 300,000,000 characters"),
        ("gz", b"id,seq\na,MK\nb,", b",", "line 3, id '': a row of more than 300,000,000 characters or 1,000,000"),
        ("gz", b'id\tseq\na\tMK\nb\t"', b"MK\n", "line 3: the row that starts here cannot be read (a row of more"),
        ("gz", b"", b"a,", "line 1: a row of more than 300,000,000 characters or 1,000,000 columns"),
    ],
    ids=[
        *("NUL", "blanks", "comment", "header", "sequence", "bzip2", "xz", "zstd"),
        *("row", "columns", "quotation mark", "first row"),
    ],
)
def test_what_has_no_end(tmp_path, packed, start, unit, said):
    path = tmp_path / f"in.{packed}"
    pack = PACK[packed]
    path.write_bytes(pack(start) + pack(unit * (LIMIT // len(unit))) * (ENDLESS // LIMIT))
    names = ("records.tsv", "distinct.fasta", "labels.tsv", "counts.json", "problems.tsv")
    files = NormalisedFiles(*(tmp_path / "out" / name for name in names))
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as error:
            normalise_dataset(read_records(path, Columns()), path, "prot", Policies(), files)
        assert tracemalloc.get_traced_memory()[1] < ENDLESS
    finally:
        tracemalloc.stop()
    assert said in str(error.value)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_records_after_one_that_is_too_long(tmp_path, ends):
    """With the right numbers of their lines."""
    long = ends.join(["MKVLAW" * 100] * (LIMIT // 500))
    fasta = ends.join([">a", "MK", ">b c", long, ">d", "ML", ""])
    found = read(tmp_path / "a.fasta", fasta.encode())
    after = 4 + LIMIT // 500
    records = [(record.line, record.id, record.text) for record in found]
    assert records == [(1, "a", "MK"), (3, "b", ""), (after, "d", "ML")]
    assert [bool(record.fault) for record in found] == [False, True, False]
    rows = ends.join(["id,seq", "a,MK", f"b,{'M' * LIMIT}", "d,ML", ""])
    found = read(tmp_path / "a.csv", rows.encode())
    assert [(record.line, record.id, record.text) for record in found] == [(2, "a", "MK"), (3, "", ""), (4, "d", "ML")]
    assert [bool(record.fault) for record in found] == [False, True, False]


def test_the_longest_record(tmp_path):
    residues = "M" * (LIMIT - 2)
    (found,) = read(tmp_path / "a.fasta", f">a\n{residues}\n".encode())
    assert (found.text, found.fault) == (residues, "")
    (found,) = read(tmp_path / "b.fasta", f">a\n{residues}M\n".encode())
    assert found.fault
