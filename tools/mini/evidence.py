"""What have trained networks learned, compared with untrained ones, letter counts, composition and 3-mers?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from lucaflow.encoders.lucaone import VOCABULARY, LucaOne
from mini.corpus import Corpus, Labelled, tokens, with_special_tokens
from mini.network import MaskedLanguageModel, residue_matrix
from mini.training import mask_tokens

# Residues of a held-out sequence that the network reads at once, as in training.
LONGEST = 382
# Weight of the less specific estimate, in occurrences of the context.
PRIOR = 20
Embedding = Callable[[Labelled], np.ndarray]


@dataclass(frozen=True)
class Share:
    """A number of correct answers out of `of`, with Wilson's 95 % interval."""

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


def mean_vectors(encoder: LucaOne, labelled: Labelled) -> np.ndarray:
    """Return the mean vectors (N, H) of the sequences over their residues, as LucaFlow computes them."""
    means = [residue_matrix(encoder, sequence, labelled.seq_type).mean(0) for sequence in labelled.sequences]
    return torch.stack(means).numpy()


def word_counts(size: int) -> Embedding:
    """Return a function that computes the share of each word of `size` residues: (N, letters ** size)."""

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


def neighbours_agree(vectors: np.ndarray, labels: Sequence[str], centred: bool = False) -> Share:
    """Return how many vectors have the label of their nearest neighbour by cosine; unique labels are left out.

    centred: whether the mean vector is subtracted first, as LucaFlow's search for neighbours does.
    """
    if centred:
        vectors = vectors - vectors.mean(0)
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = counts[inverse] > 1
    vectors, inverse = vectors[kept], inverse[kept]
    nearest = NearestNeighbors(n_neighbors=2, metric="cosine").fit(vectors).kneighbors(return_distance=False)[:, 0]
    return Share(int((inverse[nearest] == inverse).sum()), len(inverse))


def masked_sequences(labelled: Labelled, seed: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the ids (1, n) of held-out sequences, the masked ids, and whether each token is masked.

    Every selected token becomes [MASK]. In training some keep a letter, which is a better hint than any context.
    """
    draw = np.random.default_rng(seed)
    for sequence in labelled.sequences:
        ids = with_special_tokens(tokens(sequence, labelled.seq_type)[None, :LONGEST].astype(np.int64))
        is_masked = mask_tokens(ids, labelled.seq_type, draw)[1]
        if is_masked.any():
            yield ids, np.where(is_masked, VOCABULARY.mask_id, ids), is_masked


@torch.inference_mode()
def predict_with_network(model: MaskedLanguageModel, labelled: Labelled) -> tuple[Share, float]:
    """Return the share of masked tokens that the network predicts correctly, and the mean loss in nats."""
    right, of, loss = 0, 0, 0.0
    for ids, masked, is_masked in masked_sequences(labelled):
        hidden = model.hidden(torch.from_numpy(masked), labelled.seq_type)
        scores: Tensor = model.logits(hidden[torch.from_numpy(is_masked)])
        truth = model.own(torch.from_numpy(ids[is_masked]))
        right += int((scores.argmax(1) == truth).sum())
        of += len(truth)
        loss += float(torch.nn.functional.cross_entropy(scores, truth, reduction="sum"))
    return Share(right, of), loss / of


def neighbour_counts(corpus: Corpus) -> np.ndarray:
    """Return how often each token occurs between each pair of neighbours: (left, right, token)."""
    inside = np.ones(len(corpus.ids), dtype=bool)
    inside[corpus.offsets[1:] - 1] = False
    inside[corpus.offsets[:-1]] = False
    middle, ids = np.flatnonzero(inside), corpus.ids.astype(np.int64)
    counts = np.zeros((len(VOCABULARY),) * 3)
    np.add.at(counts, (ids[middle - 1], ids[middle + 1], ids[middle]), 1)
    return counts


def predict_with_counts(counts: np.ndarray, labelled: Labelled, neighbours: bool) -> tuple[Share, float]:
    """Return the share of masked tokens that counts predict correctly, and the mean loss in nats.

    counts: those of `neighbour_counts`. neighbours: whether to use the unmasked neighbours of a token. Counts beside
    rare neighbours are smoothed with those beside one neighbour and with the overall counts.
    """
    everywhere = (counts.sum((0, 1)) + 1) / (counts.sum() + len(VOCABULARY))
    right, of, loss = 0, 0, 0.0
    for ids, masked, is_masked in masked_sequences(labelled):
        rows, places = np.nonzero(is_masked)
        truth = ids[is_masked]
        chances = np.tile(everywhere, (len(places), 1))
        if neighbours:
            left, following = masked[rows, places - 1], masked[rows, places + 1]
            # From the least specific counts to the most. Those beside [MASK], [CLS] and [SEP] are zero.
            for found in (counts.sum(1)[left], counts.sum(0)[following], counts[left, following]):
                chances = (found + PRIOR * chances) / (found.sum(1, keepdims=True) + PRIOR)
        right += int((chances.argmax(1) == truth).sum())
        of += len(places)
        loss -= float(np.log(chances[np.arange(len(places)), truth]).sum())
    return Share(right, of), loss / of


def evidence(
    networks: Mapping[str, MaskedLanguageModel],
    corpora: Sequence[Corpus],
    held_out: Sequence[Labelled],
    centred: bool = False,
) -> list[dict[str, Any]]:
    """Return for each held-out set the correct masked tokens, losses and correct neighbours of each method.

    networks: by their names in the result, each for the sets of the types that it reads; corpora: whose counts they are
    compared with; held-out sets of other types are left out. centred: as `neighbours_agree` takes it.
    """
    counts = {corpus.seq_type: neighbour_counts(corpus) for corpus in corpora}
    rows = []
    for labelled in held_out:
        seq_type = labelled.seq_type
        if seq_type not in counts:
            continue
        reading = {name: model for name, model in networks.items() if seq_type in model.encoder.vocabulary.seq_types}
        masked = {
            **{name: predict_with_network(model, labelled) for name, model in reading.items()},
            "commonest": predict_with_counts(counts[seq_type], labelled, neighbours=False),
            "beside the same neighbours": predict_with_counts(counts[seq_type], labelled, neighbours=True),
        }
        vectors = {
            **{name: mean_vectors(model.encoder, labelled) for name, model in reading.items()},
            "composition": word_counts(1)(labelled),
            "3-mers": word_counts(3)(labelled),
        }
        near = {name: neighbours_agree(found, labelled.labels, centred) for name, found in vectors.items()}
        rows.append(
            {
                "set": labelled.name, "seq_type": seq_type, "sequences": len(labelled.sequences),
                "masked": {name: asdict(share) for name, (share, _) in masked.items()},
                "loss": {name: loss for name, (_, loss) in masked.items()},
                "neighbours": {name: asdict(share) for name, share in near.items()},
            }
        )  # fmt: skip
    return rows
