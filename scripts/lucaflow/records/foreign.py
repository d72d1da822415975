"""Which format is a file in that is neither FASTA nor a table, and how is it converted?"""

from __future__ import annotations

import codecs
import re
import tarfile
import zipfile
from pathlib import Path

# Bytes at the beginning of a file by which its format is recognised.
HEAD_BYTES = 2048

_UNPACK = "Unpack it{with_}, and give the unpacked file, or pack that with gzip, bzip2, xz or Zstandard."
_SAVE_SHEET = "Save the sheet as `CSV UTF-8` (LibreOffice: CSV with UTF-8), and give that file."
_SAVE_TEXT = "Save the sequences in it as FASTA or CSV in plain text (UTF-8), and give that file."
_AS_CSV = "Write its rows to a CSV file, for example with pandas (`to_csv`), and give that file."
_CONVERT = 'Convert it to FASTA, for example with Biopython: `SeqIO.convert("FILE", "{format}", "NEW.fasta", "fasta")`.'


def _unpacked_with(command: str) -> str:
    return _UNPACK.format(with_=f" with `{command} FILE`")


# By the first bytes.
_BINARY: dict[bytes, tuple[str, str]] = {
    b"\x1f\x9d": ("a file packed with compress (.Z)", _unpacked_with("gzip -d")),
    b"\x1f\xa0": ("a file packed with compress (.Z)", _unpacked_with("gzip -d")),
    b"\x5d\x00\x00": ("a file packed as LZMA (.lzma)", _unpacked_with("xz -d --format=lzma")),
    b"\x04\x22\x4d\x18": ("a file packed as LZ4", _unpacked_with("lz4 -d")),
    b"\x02\x21\x4c\x18": ("a file packed as LZ4", _unpacked_with("lz4 -d")),
    b"LZIP": ("a file packed as lzip", _unpacked_with("lzip -d")),
    b"\x89LZO": ("a file packed as lzop", _unpacked_with("lzop -d")),
    b"\xff\x06\x00\x00sNaPpY": ("a file packed as Snappy", _UNPACK.format(with_="")),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", _unpacked_with("7z x")),
    b"Rar!\x1a\x07": ("a RAR archive", _unpacked_with("unrar x")),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an Excel workbook (.xls) or another old Office document", _SAVE_SHEET),
    b"%PDF-": ("a PDF document", _SAVE_TEXT),
    b"{\\rtf": ("an RTF document", _SAVE_TEXT),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", _AS_CSV),
    b"PAR1": ("a Parquet file", _AS_CSV),
    b"ARROW1": ("an Arrow (Feather) file", _AS_CSV),
    b"FEA1": ("a Feather file", _AS_CSV),
    b"SQLite format 3\x00": ("an SQLite database", _AS_CSV),
    b"\x93NUMPY": ("a NumPy array", _AS_CSV),
    b"RDX": ("an R data file", "Write its table with `write.csv(x, FILE, row.names = FALSE)`, and give that file."),
    b"X\n\x00\x00\x00": ("an R data file", "Write its table with `write.csv(x, FILE)`, and give that file."),
    b"BAM\x01": ("a BAM file", "Convert it to FASTA with `samtools fasta FILE > NEW.fasta`."),
    b"CRAM": ("a CRAM file", "Convert it to FASTA with `samtools fasta FILE > NEW.fasta`."),
    b"\x43\x27\x41\x1a": ("a 2bit file", "Convert it to FASTA with `twoBitToFa FILE NEW.fasta`."),
    b"version https://git-lfs.": ("a pointer of Git LFS, not the file itself", "Fetch the file with `git lfs pull`."),
}
# By the first lines, without a byte order mark and blanks above them.
_TEXT: list[tuple[str, tuple[str, str]]] = [
    (
        r"@[^\n]*\n[A-Za-z.*-]+\n\+",
        ("a FASTQ file", "Convert it to FASTA, for example with `seqtk seq -a FILE > NEW.fasta`."),
    ),
    (r"@(HD|SQ|RG|PG|CO)\t", ("a SAM file", "Convert it to FASTA with `samtools fasta FILE > NEW.fasta`.")),
    (r"LOCUS {2,}\S", ("a GenBank file", _CONVERT.format(format="genbank"))),
    (r"ID {3}\S+ +(Reviewed|Unreviewed);", ("a flat file of UniProt", _CONVERT.format(format="swiss"))),
    (r"ID {3}\S+.*;", ("an EMBL file", _CONVERT.format(format="embl"))),
    (r"CLUSTAL", ("a Clustal alignment", _CONVERT.format(format="clustal"))),
    (r"# STOCKHOLM", ("a Stockholm alignment", _CONVERT.format(format="stockholm"))),
    (r"#NEXUS", ("a NEXUS file", _CONVERT.format(format="nexus"))),
    (r"\d+ +\d+\n", ("a PHYLIP alignment", _CONVERT.format(format="phylip-relaxed"))),
    (r"(HEADER {4}|CRYST1|ATOM {2,}\d)", ("a PDB file", _CONVERT.format(format="pdb-atom"))),
    (r"data_\S+\n", ("an mmCIF file", _CONVERT.format(format="cif-atom"))),
    (r"##gff-version", ("a GFF file, which holds no sequences to read", "Give the FASTA file that belongs to it.")),
    (r"##fileformat=VCF", ("a VCF file, which holds variants", "Give the sequences as FASTA.")),
    (r"<!doctype html|<html", ("a web page", "Perhaps the download failed: look at the file, and download it again.")),
    (r"<\?xml|<uniprot", ("an XML file", "Download or save the sequences as FASTA, and give that file.")),
    (r"\{\s*[\"}]|\[\s*[\[{\"]", ("a JSON file", _AS_CSV)),
]
_TEXTS = [(re.compile(start, re.IGNORECASE if start.startswith("<") else 0), about) for start, about in _TEXT]


def foreign_format(head: bytes, path: Path) -> tuple[str, str] | None:
    """Return what a file is and how to convert it, if that can be said; None for one that may be FASTA or a table.

    head: its first `HEAD_BYTES`, unpacked; path: for the names in a ZIP archive.

    >>> foreign_format(b"LOCUS       X 12 bp", Path("a.gb"))[0]
    'a GenBank file'
    """
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(head, path)
    if found := next((about for start, about in _BINARY.items() if head.startswith(start)), None):
        return found
    if _is_tar(head):
        return "a tar archive", "Unpack it with `tar xf FILE`, and give the file of sequences in it."
    if encoding := _other_encoding(head):
        name = encoding.partition("-")[0] + encoding[3:6]
        remedy = f"Save it as UTF-8 (in Excel: `CSV UTF-8`), or convert it: `iconv -f {encoding} -t UTF-8 FILE > NEW`."
        return f"not UTF-8 text but {name}", remedy
    text = head.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n").lstrip()
    return next((about for start, about in _TEXTS if start.match(text)), None)


def _kind_of_zip(head: bytes, path: Path) -> tuple[str, str]:
    """Return what a ZIP archive is: its beginning or its list of files says so."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = " ".join(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        names = ""
    inside = names.encode(errors="replace") + head
    if b"xl/" in inside or b"opendocument.spreadsheet" in inside or path.suffix.lower() in (".xlsx", ".xlsm", ".ods"):
        return "an Excel or LibreOffice workbook", _SAVE_SHEET
    if b"word/" in inside or b"opendocument.text" in inside or path.suffix.lower() in (".docx", ".odt"):
        return "a Word or LibreOffice document", _SAVE_TEXT
    if b"Index/" in inside and path.suffix.lower() == ".numbers":
        return "a Numbers workbook", _SAVE_SHEET
    return "a ZIP archive", _unpacked_with("unzip")


def _is_tar(head: bytes) -> bool:
    """Return whether a file begins with the header of a tar archive, of any kind."""
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _other_encoding(head: bytes) -> str | None:
    """Return the name of an encoding with 2 or 4 bytes a character, as text of mostly ASCII shows; None for others."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    zeros = [head[start::4].count(0) / max(1, len(head[start::4])) for start in range(4)]
    shape = "".join("0" if share > 0.5 else "x" if share < 0.1 else "?" for share in zeros)
    return {"x0x0": "UTF-16LE", "0x0x": "UTF-16BE", "x000": "UTF-32LE", "000x": "UTF-32BE"}.get(shape)
