"""Which proteins of the text are related, and how does a network learn that their embeddings should be alike?

A network that only says masked tokens has means over residues that hold little more than composition: nothing in that
task asks for more. So batches of the second half of the training are pairs of related proteins, found by MMseqs2, and
the mean of each is to be nearer to that of its relative than to those of some thousand other proteins (InfoNCE: van den
Oord et al. 2018, arXiv:1807.03748). No label is used, and held-out sequences and their near duplicates have no part.
"""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor

from lucaflow.encoders.lucaone import VOCABULARY
from lucaflow.training.mmseqs import find_mmseqs
from mini.corpus import Corpus, with_special_tokens

logger = logging.getLogger(__name__)

# Lengths in residues of the pieces that are compared.
LENGTHS = (94, 190)
# Alignments that are taken: of at least so many residues, and less alike than this.
SHORTEST, MOST_ALIKE = 40, 0.9
# Means of earlier batches that are compared with, and the temperature of their softmax.
QUEUE, TEMPERATURE = 1024, 0.1
_OPTIONS = ("-s", "5.7", "-e", "1e-4", "--max-seqs", "100", "-v", "1")
_COLUMNS = ("query", "target", "fident", "alnlen", "qstart", "qend", "tstart", "tend")


@dataclass(frozen=True)
class Relatives:
    """Alignments of the proteins of a text. pairs: (M, 2) proteins; spans: (M, 4) first and last residue in each."""

    pairs: np.ndarray
    spans: np.ndarray
    are_related: sparse.csr_array

    @classmethod
    def of(cls, found: np.ndarray, count: int) -> Relatives:
        """Return the relatives among `count` proteins. found: (M, 8), the columns of MMseqs2's table."""
        pairs = found[:, :2].astype(np.int64)
        ones = np.ones(len(pairs), dtype=bool)
        links = sparse.csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
        links = sparse.csr_array((links + links.T) > 0)
        kept = (pairs[:, 0] != pairs[:, 1]) & (found[:, 3] >= SHORTEST) & (found[:, 2] < MOST_ALIKE)
        return cls(pairs[kept], found[kept, 4:].astype(np.int64), links)


def find_relatives(corpus: Corpus, folder: Path, threads: int) -> Relatives:
    """Return the relatives among the proteins of a text. The table of MMseqs2 is kept in `folder`."""
    table = folder / f"relatives_{sha256(corpus.ids.tobytes()).hexdigest()[:12]}.tsv"
    if not table.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fasta, new = folder / "proteins.fasta", table.with_suffix(".new")
        letters = np.array([ord(symbol[0]) for symbol in VOCABULARY.symbols], dtype=np.uint8)[corpus.ids]
        bounds = zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)
        fasta.write_text("".join(f">{n}\n{letters[a:b].tobytes().decode()}\n" for n, (a, b) in enumerate(bounds)))
        logger.info("Searching for relatives among %d proteins", len(corpus.lengths))
        subprocess.run(
            [
                *(find_mmseqs().binary, "easy-search", fasta, fasta, new, folder / "scratch", *_OPTIONS),
                *("--threads", str(threads), "--format-output", ",".join(_COLUMNS)),
            ],
            check=True,
        )
        new.replace(table)
    return Relatives.of(np.loadtxt(table, ndmin=2), len(corpus.lengths))


def pairs_batch(
    relatives: Relatives, corpus: Corpus, tokens: int, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return ids (2 k, n) with [CLS] and [SEP] of k pieces of proteins and then of their relatives; and whose they are.

    Each protein is drawn as often, then one of its relatives. A piece is around a residue that both have aligned.
    """
    length = int(draw.choice(LENGTHS))
    first, second = relatives.pairs.T
    long_enough = np.flatnonzero((corpus.lengths[relatives.pairs] >= length).all(1))
    chances = 1 / np.bincount(first)[first[long_enough]]
    count = min(len(long_enough), max(1, tokens // (length + 2) // 2))
    rows = draw.choice(long_enough, size=count, p=chances / chances.sum(), replace=False)
    rows = rows[np.unique(first[rows], return_index=True)[1]]
    share, pieces = draw.random(len(rows)), []
    for side, members in enumerate((first[rows], second[rows])):
        start, end = relatives.spans[rows, 2 * side], relatives.spans[rows, 2 * side + 1]
        middle = start - 1 + share * (end - start + 1)
        shift = draw.integers(-length // 8, length // 8 + 1, len(rows))
        starts = np.clip((middle - length / 2).astype(np.int64) + shift, 0, corpus.lengths[members] - length)
        pieces.append(corpus.ids[(corpus.offsets[members] + starts)[:, None] + np.arange(length)].astype(np.int64))
    return with_special_tokens(np.concatenate(pieces)), np.concatenate([first[rows], second[rows]])


@dataclass
class Contrast:
    """Compares means with those of earlier batches. means: (Q, H) of these, the newest first; members: (Q,) whose."""

    relatives: Relatives
    means: Tensor | None = None
    members: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def loss(self, hidden: Tensor, members: np.ndarray) -> Tensor:
        """Return the mean cross-entropy, in nats, of the relative of each protein among all others.

        hidden: (2 k, n, H) of proteins and then of their relatives, with [CLS] and [SEP]; members: (2 k,) whose.
        Further relatives of a protein are not among the others.
        """
        means = hidden[:, 1:-1].float().mean(1)  # (2 k, H)
        known = means if self.means is None else torch.cat([means, self.means])
        whose = np.concatenate([members, self.members])
        centre = known.mean(0)
        similarity = F.normalize(means - centre, dim=-1) @ F.normalize(known - centre, dim=-1).T / TEMPERATURE
        partner = torch.arange(len(members)).roll(len(members) // 2)
        related = self.relatives.are_related[members][:, whose].toarray() | (members[:, None] == whose)
        left_out = torch.from_numpy(related)
        left_out[torch.arange(len(members)), partner] = False
        self.means, self.members = known.detach()[:QUEUE], whose[:QUEUE]
        return F.cross_entropy(similarity.masked_fill(left_out, -1e4), partner)

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed training needs."""
        return {} if self.means is None else {"means": self.means, "members": torch.from_numpy(self.members)}

    def resume(self, state: dict[str, Tensor]) -> None:
        """Go on from a state."""
        if state:
            self.means, self.members = state["means"], state["members"].numpy()
