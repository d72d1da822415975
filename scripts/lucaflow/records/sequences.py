"""Files of distinct normalised sequences: FASTA, `>digest seq_type` and then the sequence on one line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import pandas as pd
from Bio.SeqIO.FastaIO import FastaTwoLineParser

from lucaflow.encoders.vocabulary import CLS_AND_SEP
from lucaflow.errors import StoreError
from lucaflow.files.writing import replacing, write_table
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sharding import in_order, place_below_limit, shard_name

_BLOCK_BYTES = 16 << 20
_BUFFER_BYTES = 1 << 20
_LINE_FEED = ord("\n")


@dataclass(frozen=True)
class NormalisedSequence:
    """A normalised sequence, what it is, and the digest it is known by."""

    digest: str
    seq_type: str
    residues: str


@dataclass(frozen=True)
class SequenceIndex:
    """Where each sequence of a file stands, in the order of the file.

    digests: (U, 4) big-endian 64-bit integers; start: (U + 1,) byte of each header, and the file's end; lengths: (U,).
    """

    digests: np.ndarray
    start: np.ndarray
    lengths: np.ndarray


def index_sequences(path: Path) -> SequenceIndex:
    """Read a file once and note where its sequences stand; holds 48 bytes for each."""
    digests, ends = bytearray(), []
    with path.open("rb") as handle:
        offset = 0
        while block := handle.read(_BLOCK_BYTES):
            # Whole records: a header line and a line of residues.
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


def split_sequences(path: Path, folder: Path, shard_tokens: int, chosen: np.ndarray | None = None) -> pd.DataFrame:
    """Write one file for each shard into `folder`; return the table of shards. chosen: (U,) which sequences, or all."""
    folder.mkdir(parents=True, exist_ok=True)
    index = index_sequences(path)
    tokens = index.lengths + CLS_AND_SEP
    rows = []
    with path.open("rb") as handle:
        kept = np.arange(len(tokens)) if chosen is None else np.flatnonzero(chosen)
        for places in place_below_limit(index.digests[kept, 0], tokens[kept], shard_tokens):
            members = kept[places]
            ordered = in_order(members, index.digests, index.lengths)
            name = shard_name(index.digests[ordered])
            with replacing(folder / f"{name}.fasta") as temporary, temporary.open("wb", _BUFFER_BYTES) as shard:
                start, stop = index.start[ordered], index.start[ordered + 1]
                shard.writelines(map(os.pread, repeat(handle.fileno()), (stop - start).tolist(), start.tolist()))
            rows.append((name, len(members), int(tokens[members].sum())))
    return pd.DataFrame(rows, columns=["shard", "sequences", "tokens"])


def write_shard_table(path: Path, shards: pd.DataFrame) -> None:
    """Write the table of shards, which says that all of them are there."""
    write_table(path, shards)


def read_shard_names(path: Path) -> list[str]:
    """Return the names of a dataset's shards."""
    return pd.read_csv(path, sep="\t", dtype=str)["shard"].tolist()


def read_sequences(path: Path) -> list[NormalisedSequence]:
    """Read a shard's sequences. Raises StoreError where one is not what its digest says."""
    sequences = []
    if not path.is_file():
        raise StoreError(f"{path} is missing. Delete its folder, {path.parent}, and run again.")
    with path.open(encoding="ascii") as handle:
        try:
            for title, residues in FastaTwoLineParser(handle):  # type: ignore[no-untyped-call]
                digest, _, seq_type = title.partition(" ")
                if digest_of(seq_type, residues) != digest:
                    raise StoreError(f"{path}: the sequence under {digest} is not the one it was. Delete its folder.")
                sequences.append(NormalisedSequence(digest, seq_type, residues))
        # Of an alphabet that is none: KeyError.
        except (ValueError, KeyError) as error:
            raise StoreError(f"{path}: damaged ({error}). Delete its folder and run again.") from error
    return sequences
