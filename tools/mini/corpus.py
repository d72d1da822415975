"""Which sequences is mini trained on, and which are held out: the evaluation sets and their near duplicates?"""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from Bio import SeqIO
from scipy import sparse

from lucaflow.encoders.lucaone import VOCABULARY
from mini.sources import FAMILIES, HAIRPINS, LOCATIONS, ORCHIDS, PROTEINS, RIBOSOMAL, SPLITS, read

logger = logging.getLogger(__name__)

# Word length in residues, and the share of the shorter sequence's distinct words above which two sequences are near
# duplicates. With random substitutions this share is about the 12th (5th) power of the identity: the limits correspond
# to an identity of 94 % for nucleotides and 72 % for residues of proteins.
WORDS = {"gene": (12, 0.5), "prot": (5, 0.2)}


@dataclass(frozen=True)
class Labelled:
    """An evaluation set. sequences: normalised; labels: the classes that nearest neighbours should share."""

    name: str
    seq_type: str
    sequences: list[str]
    labels: list[str]

    def first(self, count: int) -> Labelled:
        """Return the set cut to its first `count` sequences."""
        return Labelled(self.name, self.seq_type, self.sequences[:count], self.labels[:count])


@dataclass(frozen=True)
class Corpus:
    """Sequences of one type as one array of token ids, without [CLS] and [SEP]; sequence i starts at offsets[i]."""

    seq_type: str
    ids: np.ndarray
    offsets: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)


def normalised(sequence: str, seq_type: str) -> str:
    """Return a sequence in the form that LucaFlow embeds: upper case, genes with T for U."""
    upper = sequence.upper()
    return upper.replace("U", "T") if seq_type == "gene" else upper


def tokens(sequence: str, seq_type: str) -> np.ndarray:
    """Return the token ids (L,) of the residues."""
    return VOCABULARY.encode(sequence, seq_type)[1:-1].astype(np.uint8)


def with_special_tokens(ids: np.ndarray) -> np.ndarray:
    """Return ids (B, L + 2): each row of `ids` (B, L) between [CLS] and [SEP]."""
    ends = VOCABULARY.id_of("[CLS]"), VOCABULARY.id_of("[SEP]")
    return np.pad(ids, ((0, 0), (1, 1)), constant_values=((0, 0), ends))


def _labelled(name: str, seq_type: str, path: Path) -> Labelled:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return Labelled(
        name, seq_type, [normalised(row["sequence"], seq_type) for row in rows], [row["label"] for row in rows]
    )


def evaluation_sets(packages: Path, demo: Path) -> list[Labelled]:
    """Return the evaluation sets: the demonstration's sequences, orchids, and the test set of proteins."""
    orchids = list(SeqIO.parse(io.StringIO(read(ORCHIDS, packages).decode()), "genbank"))
    locations = ("Membrane", "Mitochondrion", "Nucleus", "Secreted")
    test_set = [row for row in proteins(packages)[1] if row[1] in locations]
    return [
        _labelled("pfam", "prot", demo / "pfam_domains.csv"),
        _labelled("location", "prot", demo / "subcellular.csv"),
        Labelled("location, test set", "prot", [row[0] for row in test_set], [row[1] for row in test_set]),
        _labelled("16S genus", "gene", demo / "16S_genes.csv"),
        _labelled("miRNA family", "gene", demo / "mirna_hairpins.csv"),
        Labelled(
            "orchid genus", "gene",
            [normalised(str(record.seq), "gene") for record in orchids],
            [record.annotations["organism"].split()[0] for record in orchids],
        ),
    ]  # fmt: skip


def families(packages: Path) -> Labelled:
    """Return the distinct members of protein families that no recipe chose its texts for, without their gaps."""
    found: dict[str, str] = {}
    for family, source in FAMILIES.items():
        content = read(source, packages)
        text = (gzip.decompress(content) if source.member.endswith(".gz") else content).decode()
        kind = "fasta" if source.member.endswith(".fa") else "stockholm"
        for record in SeqIO.parse(io.StringIO(text), kind):
            found.setdefault(re.sub("[-.]", "", normalised(str(record.seq), "prot")), family)
    return Labelled("families", "prot", list(found), list(found.values()))


def proteins(packages: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the proteins for training and those of the authors' test set, each as (sequence, location)."""
    rows = list(csv.DictReader(io.StringIO(read(PROTEINS, packages).decode())))
    names = json.loads(read(LOCATIONS, packages))["index_to_label"]
    test = set(json.loads(read(SPLITS, packages))["tst"])
    sequences = [(normalised(row["seq"], "prot"), names[row["scl"]]) for row in rows]
    return (
        [row for index, row in enumerate(sequences) if index not in test],
        [row for index, row in enumerate(sequences) if index in test],
    )


def nucleotides(packages: Path) -> list[str]:
    """Return the sequences of microRNA hairpins and 16S rRNA genes."""
    texts = gzip.decompress(read(HAIRPINS, packages)).decode(), read(RIBOSOMAL, packages).decode("latin-1")
    return [normalised(str(record.seq), "gene") for text in texts for record in SeqIO.parse(io.StringIO(text), "fasta")]


def word_codes(sequences: Sequence[np.ndarray], seq_type: str) -> list[np.ndarray]:
    """Return the distinct words of each sequence of token ids, encoded as integers."""
    size, base = WORDS[seq_type][0], np.uint64(39)
    powers = base ** np.arange(size, dtype=np.uint64)
    codes = [np.empty(0, np.uint64)] * len(sequences)
    for number, ids in enumerate(sequences):
        if len(ids) >= size:
            words = np.lib.stride_tricks.sliding_window_view(ids.astype(np.uint64), size)
            # A word of 12 letters out of 39 fits into 64 bits.
            codes[number] = np.unique((words * powers).sum(axis=1))
    return codes


def near_duplicates(sequences: Sequence[np.ndarray], held_out: Sequence[np.ndarray], seq_type: str) -> np.ndarray:
    """Return for each sequence (N,) whether it is a near duplicate of a held-out one."""
    ours, theirs = word_codes(sequences, seq_type), word_codes(held_out, seq_type)
    # Only words of held-out sequences can be shared, so the matrices have a column for each of these; other words
    # count in the sizes alone.
    words = np.unique(np.concatenate([*theirs, np.empty(0, np.uint64)]))
    shared = (_occurrences(ours, words) @ _occurrences(theirs, words).T).tocoo()
    sizes, their_sizes = (np.array([len(codes) for codes in side], dtype=np.int64) for side in (ours, theirs))
    share = shared.data / np.minimum(sizes[shared.row], their_sizes[shared.col])
    found = np.zeros(len(sequences), dtype=bool)
    found[shared.row[share > WORDS[seq_type][1]]] = True
    return found


def _occurrences(codes: Sequence[np.ndarray], words: np.ndarray) -> sparse.csr_array:
    """Return a matrix (N, W) with a 1 where a sequence contains a word."""
    rows = np.repeat(np.arange(len(codes)), [len(each) for each in codes])
    flat = np.concatenate([*codes, np.empty(0, np.uint64)])
    places = np.searchsorted(words, flat)
    known = np.zeros(len(flat), dtype=bool)
    inside = places < len(words)
    known[inside] = words[places[inside]] == flat[inside]
    entries = np.ones(int(known.sum()), dtype=np.int32)
    return sparse.csr_array((entries, (rows[known], places[known])), shape=(len(codes), len(words)))


def training_corpus(sequences: Sequence[str], held_out: Sequence[Labelled], seq_type: str) -> Corpus:
    """Return the distinct sequences of at least 16 residues that are not near duplicates of a held-out one."""
    distinct = [tokens(sequence, seq_type) for sequence in dict.fromkeys(sequences) if len(sequence) >= 16]
    sets = [each for each in held_out if each.seq_type == seq_type]
    avoided = [tokens(sequence, seq_type) for each in sets for sequence in each.sequences]
    near = near_duplicates(distinct, avoided, seq_type)
    kept = [ids for ids, is_near in zip(distinct, near, strict=True) if not is_near]
    offsets = np.concatenate(([0], np.cumsum([len(ids) for ids in kept])))
    logger.info(
        "%s: kept %d of %d sequences (%d residues); %d are near duplicates of held-out sequences",
        seq_type, len(kept), len(distinct), offsets[-1], near.sum(),
    )  # fmt: skip
    return Corpus(seq_type, np.concatenate(kept), offsets)
