"""The training text, and what is kept apart from it: every sequence that is evaluated, and its near duplicates."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from Bio import SeqIO
from scipy import sparse

from lucaflow.encoders.vocabulary import CLS, SEP, encode
from mini.sources import HAIRPINS, LOCATIONS, ORCHIDS, PROTEINS, RIBOSOMAL, SPLITS, read

logger = logging.getLogger(__name__)

# Words of so many residues, and the share of the shorter sequence's distinct words that two near duplicates have in
# common. By chance it is about the 12th, or 5th, power of the identity: 94 % of nucleotides, 72 % of residues.
WORDS = {"gene": (12, 0.5), "prot": (5, 0.2)}


@dataclass(frozen=True)
class Labelled:
    """Sequences that are evaluated. sequences: normalised; labels: what nearest neighbours should agree on."""

    name: str
    seq_type: str
    sequences: list[str]
    labels: list[str]

    def first(self, count: int) -> Labelled:
        """Return the first of them, at most `count`."""
        return Labelled(self.name, self.seq_type, self.sequences[:count], self.labels[:count])


@dataclass(frozen=True)
class Corpus:
    """Sequences of one type as token ids, without [CLS] and [SEP], one after another; sequence i from offsets[i] on."""

    seq_type: str
    ids: np.ndarray
    offsets: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)


def normalised(sequence: str, seq_type: str) -> str:
    """Return a sequence as LucaFlow embeds it."""
    upper = sequence.upper()
    return upper.replace("U", "T") if seq_type == "gene" else upper


def tokens(sequence: str, seq_type: str) -> np.ndarray:
    """Return the (L,) ids of the residues."""
    return encode(sequence, seq_type)[1:-1].astype(np.uint8)


def with_ends(ids: np.ndarray) -> np.ndarray:
    """Return ids (B, L) with [CLS] before and [SEP] after each row, (B, L + 2)."""
    return np.pad(np.pad(ids, ((0, 0), (1, 0)), constant_values=CLS), ((0, 0), (0, 1)), constant_values=SEP)


def _labelled(name: str, seq_type: str, path: Path) -> Labelled:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return Labelled(
        name, seq_type, [normalised(row["sequence"], seq_type) for row in rows], [row["label"] for row in rows]
    )


def evaluated(packages: Path, demo: Path) -> list[Labelled]:
    """Return all that is evaluated: the demonstration's sequences, orchids, and the proteins kept for tests."""
    orchids = list(SeqIO.parse(io.StringIO(read(ORCHIDS, packages).decode()), "genbank"))
    locations = ("Membrane", "Mitochondrion", "Nucleus", "Secreted")
    kept = [row for row in proteins(packages)[1] if row[1] in locations]
    return [
        _labelled("pfam", "prot", demo / "pfam_domains.csv"),
        _labelled("location", "prot", demo / "subcellular.csv"),
        Labelled("location, test set", "prot", [row[0] for row in kept], [row[1] for row in kept]),
        _labelled("16S genus", "gene", demo / "16S_genes.csv"),
        _labelled("miRNA family", "gene", demo / "mirna_hairpins.csv"),
        Labelled(
            "orchid genus", "gene",
            [normalised(str(record.seq), "gene") for record in orchids],
            [record.annotations["organism"].split()[0] for record in orchids],
        ),
    ]  # fmt: skip


def proteins(packages: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the proteins that may be trained on and those kept for tests by their authors, each with its location."""
    rows = list(csv.DictReader(io.StringIO(read(PROTEINS, packages).decode())))
    names = json.loads(read(LOCATIONS, packages))["index_to_label"]
    test = set(json.loads(read(SPLITS, packages))["tst"])
    sequences = [(normalised(row["seq"], "prot"), names[row["scl"]]) for row in rows]
    return (
        [row for index, row in enumerate(sequences) if index not in test],
        [row for index, row in enumerate(sequences) if index in test],
    )


def nucleotides(packages: Path) -> list[str]:
    """Return microRNA hairpins and 16S rRNA genes."""
    texts = gzip.decompress(read(HAIRPINS, packages)).decode(), read(RIBOSOMAL, packages).decode("latin-1")
    return [normalised(str(record.seq), "gene") for text in texts for record in SeqIO.parse(io.StringIO(text), "fasta")]


def word_codes(sequences: Sequence[np.ndarray], seq_type: str) -> list[np.ndarray]:
    """Return the distinct words of each sequence of ids, as numbers."""
    size, base = WORDS[seq_type][0], np.uint64(39)
    powers = base ** np.arange(size, dtype=np.uint64)
    codes = [np.empty(0, np.uint64)] * len(sequences)
    for number, ids in enumerate(sequences):
        if len(ids) >= size:
            words = np.lib.stride_tricks.sliding_window_view(ids.astype(np.uint64), size)
            # 12 letters of 39 are numbers below 2**64.
            codes[number] = np.unique((words * powers).sum(axis=1))
    return codes


def near_duplicates(sequences: Sequence[np.ndarray], apart: Sequence[np.ndarray], seq_type: str) -> np.ndarray:
    """Say of each sequence (N,) whether it is nearly one of those kept apart."""
    ours, theirs = word_codes(sequences, seq_type), word_codes(apart, seq_type)
    # Only words of those kept apart can be shared: they are the columns, others count for the lengths alone.
    words = np.unique(np.concatenate([*theirs, np.empty(0, np.uint64)]))
    shared = (_occurrences(ours, words) @ _occurrences(theirs, words).T).tocoo()
    sizes, their_sizes = (np.array([len(codes) for codes in side], dtype=np.int64) for side in (ours, theirs))
    share = shared.data / np.minimum(sizes[shared.row], their_sizes[shared.col])
    found = np.zeros(len(sequences), dtype=bool)
    found[shared.row[share > WORDS[seq_type][1]]] = True
    return found


def _occurrences(codes: Sequence[np.ndarray], words: np.ndarray) -> sparse.csr_array:
    """Return (N, W), 1 where a sequence has a word."""
    rows = np.repeat(np.arange(len(codes)), [len(each) for each in codes])
    flat = np.concatenate([*codes, np.empty(0, np.uint64)])
    places = np.searchsorted(words, flat)
    known = np.zeros(len(flat), dtype=bool)
    inside = places < len(words)
    known[inside] = words[places[inside]] == flat[inside]
    entries = np.ones(int(known.sum()), dtype=np.int32)
    return sparse.csr_array((entries, (rows[known], places[known])), shape=(len(codes), len(words)))


def corpus(sequences: Sequence[str], apart: Sequence[Labelled], seq_type: str) -> Corpus:
    """Return distinct sequences that are neither evaluated nor nearly so."""
    distinct = [tokens(sequence, seq_type) for sequence in dict.fromkeys(sequences) if len(sequence) >= 16]
    others = [tokens(sequence, seq_type) for each in apart if each.seq_type == seq_type for sequence in each.sequences]
    near = near_duplicates(distinct, others, seq_type)
    kept = [ids for ids, is_near in zip(distinct, near, strict=True) if not is_near]
    offsets = np.concatenate(([0], np.cumsum([len(ids) for ids in kept])))
    logger.info(
        "%s: %d of %d sequences, %d residues; %d are near duplicates of what is evaluated",
        seq_type, len(kept), len(distinct), offsets[-1], near.sum(),
    )  # fmt: skip
    return Corpus(seq_type, np.concatenate(kept), offsets)
