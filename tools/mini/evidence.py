"""What the trained network knows, against the same network untrained, composition, and 3-mers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from lucaflow.encoders.lucaone import Encoder
from lucaflow.encoders.vocabulary import MASK, VOCABULARY
from mini.corpus import Corpus, Labelled, tokens, with_ends
from mini.network import MaskedLanguageModel, residue_rows
from mini.training import hide

# Residues of a held-out sequence that are shown at once, as in training.
LONGEST = 382
# What is known without neighbours counts as much as so many times that these were seen.
PRIOR = 20
Embedding = Callable[[Labelled], np.ndarray]


@dataclass(frozen=True)
class Share:
    """How many of how many were right, with the bounds of Wilson's 95 % interval."""

    right: int
    of: int

    @property
    def value(self) -> float:
        return self.right / self.of

    @property
    def interval(self) -> tuple[float, float]:
        found = binomtest(self.right, self.of).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} ({low:.3f} to {high:.3f})"


def mean_vectors(encoder: Encoder, labelled: Labelled) -> np.ndarray:
    """Return the mean (N, H) over the residues of each sequence, as LucaFlow computes it."""
    means = [residue_rows(encoder, sequence, labelled.seq_type).mean(0) for sequence in labelled.sequences]
    return torch.stack(means).numpy()


def word_counts(size: int) -> Embedding:
    """Return what counts words of `size` residues: shares of all words, (N, letters ** size)."""

    def count(labelled: Labelled) -> np.ndarray:
        codes = {
            code: place for place, code in enumerate(range(5, 10) if labelled.seq_type == "gene" else range(10, 36))
        }
        place = np.zeros(len(VOCABULARY), dtype=np.int64)
        place[list(codes)] = list(codes.values())
        vectors = np.zeros((len(labelled.sequences), len(codes) ** size), dtype=np.float32)
        for row, sequence in zip(vectors, labelled.sequences, strict=True):
            words = np.lib.stride_tricks.sliding_window_view(place[tokens(sequence, labelled.seq_type)], size)
            found, counts = np.unique(words @ len(codes) ** np.arange(size), return_counts=True)
            row[found] = counts / len(words)
        return vectors

    return count


def neighbours_agree(vectors: np.ndarray, labels: Sequence[str]) -> Share:
    """Return for how many the nearest other vector, by the cosine, has the same label; single labels do not count."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = counts[inverse] > 1
    vectors, inverse = vectors[kept], inverse[kept]
    nearest = NearestNeighbors(n_neighbors=2, metric="cosine").fit(vectors).kneighbors(return_distance=False)[:, 0]
    return Share(int((inverse[nearest] == inverse).sum()), len(inverse))


def questions(labelled: Labelled, seed: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield ids (1, n) of held-out sequences, what is shown of them, and which places are asked for.

    All of those are hidden: in training some show a letter, which alone tells more than any context.
    """
    draw = np.random.default_rng(seed)
    for sequence in labelled.sequences:
        ids = with_ends(tokens(sequence, labelled.seq_type)[None, :LONGEST].astype(np.int64))
        asked = hide(ids, labelled.seq_type, draw)[1]
        if asked.any():
            yield ids, np.where(asked, MASK, ids), asked


@torch.inference_mode()
def masked_tokens(model: MaskedLanguageModel, labelled: Labelled) -> tuple[Share, float]:
    """Return how many hidden tokens are told right, and the mean loss in nats."""
    right, of, loss = 0, 0, 0.0
    for ids, shown, asked in questions(labelled):
        scores: Tensor = model.logits(model.hidden(torch.from_numpy(shown), labelled.seq_type)[torch.from_numpy(asked)])
        truth = torch.from_numpy(ids[asked])
        right += int((scores.argmax(1) == truth).sum())
        of += len(truth)
        loss += float(torch.nn.functional.cross_entropy(scores, truth, reduction="sum"))
    return Share(right, of), loss / of


def neighbour_counts(corpus: Corpus) -> np.ndarray:
    """Return how often a token stands between two others, (left, right, token)."""
    inside = np.ones(len(corpus.ids), dtype=bool)
    inside[corpus.offsets[1:] - 1] = False
    inside[corpus.offsets[:-1]] = False
    middle, ids = np.flatnonzero(inside), corpus.ids.astype(np.int64)
    counts = np.zeros((len(VOCABULARY),) * 3)
    np.add.at(counts, (ids[middle - 1], ids[middle + 1], ids[middle]), 1)
    return counts


def told_by_counts(counts: np.ndarray, labelled: Labelled, neighbours: bool) -> tuple[Share, float]:
    """Return how many hidden tokens are told right, and the mean loss in nats, by how often tokens are in a text.

    counts: how often each stands between two others; neighbours: whether those beside the same neighbours count, as
    far as these show; where they were seldom seen, what is known without one or both of them counts for more.
    """
    everywhere = (counts.sum((0, 1)) + 1) / (counts.sum() + len(VOCABULARY))
    right, of, loss = 0, 0, 0.0
    for truth, shown, asked in questions(labelled):
        rows, places = np.nonzero(asked)
        chances = np.tile(everywhere, (len(places), 1))
        if neighbours:
            left, following = shown[rows, places - 1], shown[rows, places + 1]
            # From the least that is known to the most; a hidden neighbour, and an end, stands beside nothing.
            for found in (counts.sum(1)[left], counts.sum(0)[following], counts[left, following]):
                chances = (found + PRIOR * chances) / (found.sum(1, keepdims=True) + PRIOR)
        right += int((chances.argmax(1) == truth[asked]).sum())
        of += len(places)
        loss -= float(np.log(chances[np.arange(len(places)), truth[asked]]).sum())
    return Share(right, of), loss / of


def evidence(
    model: MaskedLanguageModel, untrained: MaskedLanguageModel, corpora: Sequence[Corpus], apart: Sequence[Labelled]
) -> list[dict[str, Any]]:
    """Return for each set that was kept apart how many hidden tokens and neighbours are right, by what told them."""
    counts = {corpus.seq_type: neighbour_counts(corpus) for corpus in corpora}
    rows = []
    for labelled in apart:
        masked = {
            "mini": masked_tokens(model, labelled),
            "untrained": masked_tokens(untrained, labelled),
            "commonest": told_by_counts(counts[labelled.seq_type], labelled, neighbours=False),
            "beside the same neighbours": told_by_counts(counts[labelled.seq_type], labelled, neighbours=True),
        }
        vectors = {
            "mini": mean_vectors(model.encoder, labelled),
            "untrained": mean_vectors(untrained.encoder, labelled),
            "composition": word_counts(1)(labelled),
            "3-mers": word_counts(3)(labelled),
        }
        near = {name: neighbours_agree(found, labelled.labels) for name, found in vectors.items()}
        rows.append(
            {
                "set": labelled.name, "seq_type": labelled.seq_type, "sequences": len(labelled.sequences),
                "masked": {name: asdict(share) for name, (share, _) in masked.items()},
                "loss": {name: loss for name, (_, loss) in masked.items()},
                "neighbours": {name: asdict(share) for name, share in near.items()},
            }
        )  # fmt: skip
    return rows
