"""Files that are neither FASTA nor a table are named, with how to convert them."""

import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from lucaflow.errors import InputError
from lucaflow.records.opening import zstd
from lucaflow.records.readers import Columns, read_records

FASTA = b">a\nMKV\n>b\nMW\n"


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "x" * 3000)
    return buffer.getvalue()


def tarred(mode="w", form=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:
        member = tarfile.TarInfo("seqs.fasta")
        member.size = len(FASTA)
        archive.addfile(member, io.BytesIO(FASTA))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel or LibreOffice workbook, not FASTA.*CSV UTF-8"),
        (zipped("xl/workbook.xml")[:100], "an Excel or LibreOffice workbook"),
        (zipped("word/document.xml"), "a Word or LibreOffice document"),
        (zipped("seqs.fasta"), "a ZIP archive.*`unzip in.x`"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), r"an Excel workbook \(.xls\)"),
        (b"\x1f\x9d\x90" + bytes(range(99)), r"compress \(.Z\).*`gzip -d in.x`"),
        (lzma.compress(FASTA, format=lzma.FORMAT_ALONE), "packed as LZMA.*`xz -d"),
        (b"\x04\x22\x4d\x18dp" + bytes(40), "packed as LZ4"),
        *((tarred(form=form), "a tar archive.*`tar xf in.x`") for form in (0, 1, 2)),
        *((tarred(f"w:{pack}"), "unpacked: a tar archive.*`tar xf in.x`") for pack in ("gz", "bz2", "xz")),
        (gzip.compress(gzip.compress(FASTA)), "packed twice"),
        (FASTA.decode().encode("utf-16-le"), "not UTF-8 text but UTF-16.*`iconv -f UTF-16LE"),
        (FASTA.decode().encode("utf-16-be"), "not UTF-8 text but UTF-16.*`iconv -f UTF-16BE"),
        ("id\tseq\nα\tMKV\n".encode("utf-16"), "not UTF-8 text but UTF-16"),
        (FASTA.decode().encode("utf-32-le"), "not UTF-8 text but UTF-32"),
        (gzip.compress("id,seq\na,MKV\n".encode("utf-16-le")), "unpacked: not UTF-8 text but UTF-16"),
        ("id,seq,name\na,MKV,Bär\n".encode("latin-1"), "line 2 has 'a,MKV,Bär', if it is read as Windows-1252"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"@r1 x\r\nACGTN\r\n+\r\nIIIII\r\n", "a FASTQ file.*seqtk seq -a in.x"),
        (b"@HD\tVN:1.6\n", "a SAM file"),
        (b"LOCUS       AB1     40 bp    DNA\n", 'a GenBank file.*"in.x", "genbank"'),
        (b"ID   X56734; SV 1; linear; mRNA; STD; PLN; 1859 BP.\n", "an EMBL file"),
        (b"ID   A_HUMAN   Reviewed;  120 AA.\n", "a flat file of UniProt"),
        (b"CLUSTAL W (1.82)\n\na MKV\n", "a Clustal alignment"),
        (b"# STOCKHOLM 1.0\na MKV\n", "a Stockholm alignment"),
        (b" 2 5\na MKVLA\nb MKVLA\n", "a PHYLIP alignment"),
        (b"##gff-version 3\nx\ty\n", "a GFF file"),
        (b"\n<!DOCTYPE html>\n<html>", "a web page.*download it again"),
        (b"<?xml version='1.0'?>\n", "an XML file"),
        (b'[{"id": "a", "seq": "MKV"}]', "a JSON file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_another_format_is_named_with_a_remedy(tmp_path, content, words):
    path = tmp_path / "in.x"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"in\.x.*{words}") as error:
        list(read_records(path, Columns()))
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize("content", [b"LOCUS,seq\na,MKV\n", b"@x,seq,id\n1,MKV,a\n", b"ID   ,seq\na,MKV\n"])
def test_a_table_that_begins_like_another_format_is_read(tmp_path, content):
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    assert [record.text for record in read_records(path, Columns(header=True))] == ["MKV"]


def test_zstd_with_a_long_window_and_as_pzstd_writes_it(tmp_path):
    options = {zstd.CompressionParameter.window_log: 28, zstd.CompressionParameter.enable_long_distance_matching: 1}
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00\x10\x00\x00\x00"
    compressor = zstd.ZstdCompressor(options=options)
    for content in (compressor.compress(FASTA) + compressor.flush(), skippable + zstd.compress(FASTA)):
        path = tmp_path / "in.zst"
        path.write_bytes(content)
        assert [record.id for record in read_records(path, Columns())] == ["a", "b"]


def test_a_packed_file_that_is_not_utf8_and_damaged_further_down(tmp_path):
    path = tmp_path / "in.gz"
    path.write_bytes(gzip.compress(b"id,seq\na,\xe9" + b"M" * 200_000)[:-6])
    with pytest.raises(InputError, match="damaged or cut short"):
        list(read_records(path, Columns()))
