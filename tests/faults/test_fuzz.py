"""Random bytes as input: each file ends in outcomes or in one InputError, in bounded time and memory.

The seed is printed; LUCAFLOW_FUZZ_SEED repeats a run. Time is that of this process on the processor, for each file.
Memory is the growth of the peak of this process (ru_maxrss) over all files.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lucaflow.errors import LONGEST_SHOWN, InputError
from lucaflow.records.counts import Counts
from lucaflow.records.outcomes import Policies
from lucaflow.records.readers import PAIR_COLUMNS, Columns, read_records, zstd
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset

PACK: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress, zstd.compress]
STARTS = [
    b"", b"\x1f\x8b", b"\x1f\x8b\x08", b"BZh", b"BZh9", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b">", b"@", b";",
    b"\xef\xbb\xbf>", b"\xff\xfe", b"id,seq\n", b"id\tseq\n", b'"', b">a\n",
    b",".join(name.encode() for name in PAIR_COLUMNS) + b"\n",
]  # fmt: skip
PIECES = [
    b">", b"\n", b"\r", b",", b"\t", b'"', b";", b"\0", b"\xff", b" ", b"a", b"MKVLAW", b"ACGT", b"gene,prot", b"-",
    b"*", "é".encode(),
]  # fmt: skip
COLUMNS = [Columns(), Columns(header=False), Columns(header=True, label="1"), Columns(pairs=True), Columns(id="-1")]
POLICIES = [Policies(), Policies("drop", "first", "accept", "drop"), Policies("unknown", "first", "accept", "drop")]
NAMES = ["in.fasta", "in.csv", "in.tsv", "in.gz", "in"]
SECONDS = 5
MEGABYTES = 300


def records(draw: random.Random) -> bytes:
    """Return a few records as they should be, in any format."""
    texts = draw.choices(("MKVLAWRRKLAW", "ACGTACGTACGT" * 3), k=draw.randrange(9))
    rows = [(f"r{draw.randrange(99)}", text) for text in texts]
    if draw.random() < 0.5:
        return "".join(f">{name}\n{sequence}\n" for name, sequence in rows).encode()
    delimiter = draw.choice(",\t")
    return "".join(f"{name}{delimiter}{text}\n" for name, text in [("id", "seq"), *rows]).encode()


def anything(draw: random.Random) -> bytes:
    """Return a start that a reader knows, and random bytes or words."""
    words = b"".join(draw.choices(PIECES, k=draw.randrange(60)))
    return draw.choice(STARTS) + draw.choice((words, words, draw.randbytes(300))) * draw.choice((1, 1, 1, 200))


def damaged(draw: random.Random, made: bytes) -> bytes:
    """Return a content with up to three other bytes, and at times without its end."""
    changed = bytearray(made)
    for _ in range(draw.choice((0, 0, 1, 3)) if made else 0):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed[: draw.choice((len(made), len(made), draw.randrange(len(made) + 1)))])


def content(draw: random.Random) -> bytes:
    """Return the content of a file: records or anything, plain or packed, whole or damaged."""
    made = damaged(draw, draw.choice((records, anything))(draw))
    return damaged(draw, draw.choice(PACK)(made)) if draw.random() < 0.4 else made


def outcome(folder: Path, draw: random.Random) -> str:
    """Read one file; return how it ended."""
    path = folder / draw.choice(NAMES)
    path.write_bytes(content(draw))
    files = NormalisedFiles(*(folder / "out" / name for name in "rslcp"))
    raw_records = read_records(path, draw.choice(COLUMNS))
    try:
        counts = normalise_dataset(raw_records, path, draw.choice(("gene", "prot")), draw.choice(POLICIES), files)
    except InputError as error:
        # Ten problems, each with an id and a value.
        assert len(str(error)) < 40 * LONGEST_SHOWN
        return "refused"
    finally:
        path.unlink()
    with files.records.open(encoding="utf-8", newline="") as lines:
        assert counts.status == Counter(row["status"] for row in csv.DictReader(lines, delimiter="\t"))
    assert counts == Counts.read(files.counts)
    return "accepted"


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_random_bytes(tmp_path, count):
    seed = int(os.environ.get("LUCAFLOW_FUZZ_SEED", random.randrange(10**9)))
    ended: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        started = time.process_time()
        try:
            ended[outcome(tmp_path, random.Random(f"{seed} {number}"))] += 1
        except BaseException as error:
            error.add_note(f"LUCAFLOW_FUZZ_SEED={seed}, file {number}")
            raise
        assert time.process_time() - started < SECONDS, f"LUCAFLOW_FUZZ_SEED={seed}, file {number}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    print(f"LUCAFLOW_FUZZ_SEED={seed}: {dict(ended)}, {grown:.0f} MB")  # noqa: T201
    assert grown < MEGABYTES, f"LUCAFLOW_FUZZ_SEED={seed}"
    assert min(ended["accepted"], ended["refused"]) > count / 20
