"""Files of distinct normalised sequences: FASTA, `>digest seq_type` and then the sequence on one line."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from Bio.SeqIO.FastaIO import FastaTwoLineParser

from lucaflow.alphabet import CLS_AND_SEP
from lucaflow.errors import StoreError
from lucaflow.files import replacing, write_text
from lucaflow.records import digest_of
from lucaflow.shards import in_order, place_below_limit, shard_name


@dataclass(frozen=True)
class NormalisedSequence:
    """A normalised sequence, what it is, and the digest it is known by."""

    digest: str
    seq_type: str
    residues: str


@dataclass(frozen=True)
class SequenceIndex:
    """Where each sequence of a file stands: digests (U,) S64; start and stop byte, and length, each (U,)."""

    digests: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    lengths: np.ndarray


def index_sequences(path: Path) -> SequenceIndex:
    """Read a file once and note where its sequences stand; holds about 100 bytes for each."""
    digests, stops, lengths = bytearray(), [0], []
    with path.open("rb") as handle:
        for header in handle:
            residues = handle.readline()
            digests += header[1:65]
            stops.append(stops[-1] + len(header) + len(residues))
            lengths.append(len(residues) - 1)
    offsets = np.array(stops, dtype=np.int64)
    return SequenceIndex(np.frombuffer(digests, dtype="S64"), offsets[:-1], offsets[1:], np.array(lengths))


def split_sequences(path: Path, folder: Path, shard_tokens: int) -> pd.DataFrame:
    """Write one file for each shard into `folder`; return the table of shards."""
    folder.mkdir(parents=True, exist_ok=True)
    index = index_sequences(path)
    tokens = index.lengths + CLS_AND_SEP
    rows = []
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for members in place_below_limit(index.digests, tokens, shard_tokens):
            ordered = in_order(members, index.digests, index.lengths)
            name = shard_name(index.digests[ordered])
            with replacing(folder / f"{name}.fasta") as temporary, temporary.open("wb") as shard:
                for start, stop in zip(index.start[ordered].tolist(), index.stop[ordered].tolist(), strict=True):
                    shard.write(content[start:stop])
            rows.append((name, len(members), int(tokens[members].sum())))
    return pd.DataFrame(rows, columns=["shard", "sequences", "tokens"])


def write_shard_table(path: Path, shards: pd.DataFrame) -> None:
    """Write the table of shards, which says that all of them are there."""
    write_text(path, shards.to_csv(sep="\t", index=False, lineterminator="\n"))


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
        except ValueError as error:
            raise StoreError(f"{path}: damaged ({error}). Delete its folder and run again.") from error
    return sequences
