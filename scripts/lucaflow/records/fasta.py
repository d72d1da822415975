"""Which records are in a FASTA or PIR file?"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

from lucaflow.errors import InputError, quoted
from lucaflow.records.raw_records import LONGEST_RECORD, RawRecord

_BLOCK_CHARACTERS = 1 << 16
_TOO_LONG = f"longer than {LONGEST_RECORD:,} characters, the most that a record may have; divide it, or remove it"
# Characters that are kept of a record that is too long, for its id.
_KEPT_CHARACTERS = 1000
_COMMENT = re.compile("^;.*$", re.MULTILINE)
# The codes for kinds of molecules: proteins and fragments, DNA, RNA, other nucleic acids, unspecified.
PIR_HEADER = re.compile(r"(P1|F1|D[LC]|R[LC]|N[13]|XX); *")


def read_fasta(handle: io.TextIOWrapper, path: Path) -> Iterator[RawRecord]:
    """Yield one record per header line. Reads in blocks, to be fast.

    Lines that start with `;` are comments, and those that start with `#` above the first header line.
    """
    number, start = _first_header(handle, path)
    if not number:
        return
    record = _GrowingRecord(number, start.removesuffix("\n"))
    # The line feed at the end of a block is held back: the next block may start with a header.
    held = "\n" if start.endswith("\n") else ""
    while block := handle.read(_BLOCK_CHARACTERS):
        text = held + block
        held = "\n" if text.endswith("\n") else ""
        first, *others = text.removesuffix("\n").split("\n>")
        record.add(first)
        for other in others:
            yield record.finished()
            record = _GrowingRecord(record.line + record.line_feeds + 1, other)
    yield record.finished()


def _first_header(handle: io.TextIOWrapper, path: Path) -> tuple[int, str]:
    """Return the number of the first header line, and its text or the beginning of it; 0 if there is none."""
    for number, line in enumerate(iter(lambda: handle.readline(LONGEST_RECORD), ""), start=1):
        if line.startswith(">"):
            return number, line[1:]
        if len(line) == LONGEST_RECORD:
            raise InputError(f"{path}, line {number}: a line before the first header line ('>') is {_TOO_LONG}.")
        if line.strip() and not line.startswith((";", "#")):
            raise InputError(
                f"{path}, line {number}: {quoted(line.rstrip())} is before the first header line ('>'). "
                "Remove the line, or add a header above it."
            )
    return 0, ""


class _GrowingRecord:
    """A record of a FASTA file, part by part. Of one that is too long only the beginning is kept.

    line: the number of its header line; line_feeds: in the parts, once the record is finished.
    """

    def __init__(self, line: int, part: str) -> None:
        self.line = line
        self.line_feeds = 0
        self._size = 0
        self._parts: list[str] = []
        self._beginning = ""
        self.add(part)

    def add(self, part: str) -> None:
        self._size += len(part)
        self._parts.append(part)
        if self._size > LONGEST_RECORD:
            text = self._joined()
            self._beginning = self._beginning or text[:_KEPT_CHARACTERS]

    def finished(self) -> RawRecord:
        """Return the record; of one that is too long, only its id and its fault."""
        text = self._joined()
        if self._beginning:
            return _fasta_record(self.line, self._beginning)._replace(description="", text="", fault=_TOO_LONG)
        return _fasta_record(self.line, text)

    def _joined(self) -> str:
        text = "".join(self._parts)
        self._parts = []
        self.line_feeds += text.count("\n")
        return text


def _fasta_record(line: int, text: str) -> RawRecord:
    """Return a record. Its id is the first word of the title, the rest is its description."""
    title, _, residues = text.partition("\n")
    words = title.split(maxsplit=1)
    if ";" in residues:
        residues = _COMMENT.sub("", residues)
    return RawRecord(line, words[0] if words else "", words[1] if len(words) > 1 else "", residues)


def read_pir(handle: io.TextIOWrapper, path: Path) -> Iterator[RawRecord]:
    """Yield the records of a PIR (NBRF) file: `>P1;ID`, a line that is the title, and a sequence that ends in `*`."""
    for record in read_fasta(handle, path):
        yield record if record.fault else _pir_record(record)


def _pir_record(record: RawRecord) -> RawRecord:
    """Return a record of PIR that was read as FASTA. Its text still begins below the header line."""
    name = f"{record.id} {record.description}".strip()
    start = PIR_HEADER.match(name)
    title, _, below = record.text.partition("\n")
    residues, end, _ = below.partition("*")
    identifier = name[start.end() :].split(maxsplit=1)[0] if start and name[start.end() :].strip() else ""
    fault = ""
    if not start:
        fault = "its header line has no code of PIR, such as `P1;`, although that of the first record has; add it"
    elif not end:
        fault = "a sequence in a PIR file must end in `*`, below a line that is the title; add what is missing"
    if fault:
        return RawRecord(record.line, identifier or record.id, "", "", fault=fault)
    return RawRecord(record.line, identifier, title.strip(), f"\n{residues}")
