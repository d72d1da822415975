"""How are distinct normalised sequences stored, and divided into shards?

The files are FASTA: a header line `>digest seq_type`, then the sequence on one line.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.errors import StoreError
from lucaflow.files.writing import replacing, write_text
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sharding import SHARD_NAMES, divide_below_limit, longest_first, shard_name

_BLOCK_BYTES = 16 << 20
_BUFFER_BYTES = 1 << 20
_LINE_FEED = ord("\n")


@dataclass(frozen=True)
class NormalisedSequence:
    """A normalised sequence, its type, and the digest that identifies it."""

    digest: str
    seq_type: str
    residues: str


class Shard(NamedTuple):
    """A shard of a dataset: its name, a digest of its content, and how much it holds."""

    name: str
    sequences: int
    tokens: int


@dataclass(frozen=True)
class SequenceIndex:
    """The position of each sequence in a file, in the order of the file.

    digests: (U, 4) big-endian 64-bit integers; start: (U + 1,) byte offset of each header, and the end of the file;
    lengths: (U,) residues.
    """

    digests: np.ndarray
    start: np.ndarray
    lengths: np.ndarray


def index_sequences(path: Path) -> SequenceIndex:
    """Return the index of a file, which takes 48 bytes for each sequence. The file is read once."""
    digests, ends = bytearray(), []
    with path.open("rb") as handle:
        offset = 0
        while block := handle.read(_BLOCK_BYTES):
            # Blocks end with a whole record: a header line and a line of residues.
            block += handle.readline()
            if block.count(b"\n") % 2:
                block += handle.readline()
            line_ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == _LINE_FEED)
            starts = [0, *(line_ends[1::2][:-1] + 1).tolist()]
            digests += bytes.fromhex(b"".join([block[start + 1 : start + 65] for start in starts]).decode())
            ends.append(line_ends + offset)
            offset += len(block)
    line_ends = np.concatenate(ends) if ends else np.zeros(0, dtype=np.int64)
    start = np.concatenate(([0], line_ends[1::2] + 1))
    lengths = line_ends[1::2] - line_ends[0::2] - 1
    return SequenceIndex(np.frombuffer(digests, dtype=">u8").reshape(-1, 4), start, lengths)


def split_sequences(path: Path, folder: Path, shard_tokens: int, chosen: np.ndarray | None = None) -> list[Shard]:
    """Write one FASTA file for each shard into `folder`, and remove the FASTA files of other shards; return the shards.

    chosen: (U,) bool, the sequences to include; None for all. Since a shard's name says its content, a file that exists
    in the right size is not written again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = index_sequences(path)
    tokens = index.lengths + Vocabulary.special_tokens
    shards = []
    with path.open("rb") as handle:
        kept = np.arange(len(tokens)) if chosen is None else np.flatnonzero(chosen)
        for positions in divide_below_limit(index.digests[kept, 0], tokens[kept], shard_tokens):
            members = kept[positions]
            ordered = longest_first(members, index.digests, index.lengths)
            shard = Shard(shard_name(index.digests[ordered]), len(members), int(tokens[members].sum()))
            _write_shard(handle, index, ordered, folder / f"{shard.name}.fasta")
            shards.append(shard)
    for other in {*folder.glob(f"{SHARD_NAMES}.fasta")} - {folder / f"{shard.name}.fasta" for shard in shards}:
        other.unlink()
    return shards


def _write_shard(handle: BinaryIO, index: SequenceIndex, rows: np.ndarray, path: Path) -> None:
    """Copy records of the file `handle` to a file of a shard. rows: (n,) their numbers, in the order of the shard."""
    start, stop = index.start[rows], index.start[rows + 1]
    if path.is_file() and path.stat().st_size == (stop - start).sum():
        return
    with replacing(path) as temporary, temporary.open("wb", _BUFFER_BYTES) as shard:
        shard.writelines(map(os.pread, repeat(handle.fileno()), (stop - start).tolist(), start.tolist()))


def shard_folder(table: Path) -> Path:
    """Return the folder of the FASTA files of a table of shards."""
    return table.with_name("shards")


def write_shard_table(path: Path, shards: Iterable[Shard]) -> None:
    """Write the table of shards. It is written last, so its existence shows that the shards are complete."""
    rows = ["shard\tsequences\ttokens", *(f"{shard.name}\t{shard.sequences}\t{shard.tokens}" for shard in shards)]
    write_text(path, "".join(f"{row}\n" for row in rows))


def read_shard_names(path: Path) -> list[str]:
    """Return the names of a dataset's shards."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [row["shard"] for row in csv.DictReader(lines, delimiter="\t")]


def read_sequences(path: Path) -> list[NormalisedSequence]:
    """Read the sequences of a shard. Raises StoreError if one does not match its digest."""
    from Bio.SeqIO.FastaIO import FastaTwoLineParser  # to divide sequences into shards, it is not needed

    sequences = []
    if not path.is_file():
        raise StoreError(f"{path} is missing. Run again: the sequences are divided again.")
    with path.open(encoding="ascii") as handle:
        try:
            for title, residues in FastaTwoLineParser(handle):  # type: ignore[no-untyped-call]
                digest, _, seq_type = title.partition(" ")
                if digest_of(seq_type, residues) != digest:
                    raise StoreError(
                        f"{path}: a sequence does not match its SHA-256, {digest}. Delete the file and run again."
                    )
                sequences.append(NormalisedSequence(digest, seq_type, residues))
        # An unknown seq_type raises KeyError.
        except (ValueError, KeyError) as error:
            raise StoreError(f"{path}: damaged ({error}). Delete the file and run again.") from error
    return sequences


def damaged_sequences(folder: Path) -> list[tuple[Path, str]]:
    """Read all FASTA files of shards below a folder; return those that do not match their names, and how."""
    found = []
    for path in sorted(folder.rglob(f"{SHARD_NAMES}.fasta")):
        try:
            digests = [bytes.fromhex(sequence.digest) for sequence in read_sequences(path)]
        except StoreError as error:
            found.append((path, str(error).removeprefix(f"{path}: ")))
        else:
            if shard_name(np.frombuffer(b"".join(digests), dtype=">u8")) != path.stem:
                found.append((path, "its sequences do not match its name"))
    return found
