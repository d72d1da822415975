"""What does the network read of a batch of rows?

Letters in shapes: B rows of a batch; T rows of all matrices, one after another; E: width of the embedding; D: width of
pooled rows; C: outputs; P: what has a label, B for whole sequences, T for residues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lucaflow.downstream.inputs import rows_for_head
from lucaflow.downstream.networks import Head, Tower
from lucaflow.downstream.pooling import has_parameters
from lucaflow.encoders.packing import runs_of
from lucaflow.errors import TrainingError
from lucaflow.training.forward import Rows
from lucaflow.training.options import TrainingOptions

# Sequences that are pooled at once.
_POOLED_AT_ONCE = 64

# Returns the embedding of a sequence by its key: a matrix (n, E), or for input_type `vector` a vector (E,).
Embedding = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class Example:
    """A row of the table that is trained on.

    sequences: the key of each of its sequences, by which its embedding is found; target: () or (C,) for a whole
    sequence, (n,) or (n, C) for its n residues; NaN where there is no label.
    """

    id: str
    sequences: tuple[str, ...]
    target: np.ndarray


@dataclass(frozen=True)
class Batch:
    """A batch as the network reads it.

    sides: the matrices, or the pooled vectors (B, D), of each side; target: (P,) or (P, C); owner: (P,), the row that
    each label belongs to.
    """

    sides: tuple[Rows | Tensor, ...]
    target: Tensor
    owner: Tensor


class Batches:
    """Make batches of examples, for a network and its options.

    If the pooling has no parameters and nothing is trained before it, the vectors are pooled once, before the training.
    LucaOneTasks' matrices are padded to the longest one of a batch; others are read as they are.
    """

    def __init__(
        self, head: Head, options: TrainingOptions, embedding: Embedding, device: torch.device, keys: Sequence[set[str]]
    ) -> None:
        """keys: those of all sequences of each side, for the vectors that are pooled once."""
        self.options = options
        self.embedding = embedding
        self.device = device
        self.widths = set(head.structure.inputs)
        self.vectors: list[Mapping[str, Tensor]] = []
        if pools_once(head, options):
            for side, names in enumerate(keys):
                tower = head.towers[head.structure.tower_of(side)]
                assert isinstance(tower, Tower)
                self.vectors.append(self._pooled(tower, sorted(names)))

    def of(self, examples: Sequence[Example]) -> Batch:
        """Return a batch."""
        sides = range(self.options.sides)
        if self.vectors:
            pooled = (torch.stack([self.vectors[side][each.sequences[side]] for each in examples]) for side in sides)
            return Batch(tuple(x.to(self.device) for x in pooled), *self._whole(examples))
        rows = tuple(self._joined([each.sequences[side] for each in examples]) for side in sides)
        labels = self._residues(examples, rows[0]) if self.options.is_token_level else self._whole(examples)
        return Batch(rows, *labels)

    def rows(self, key: str) -> np.ndarray:
        """Return the rows (k, E) of a sequence that the network reads. Raises TrainingError for a wrong width."""
        options, found = self.options, self.embedding(key)
        if found.shape[-1] not in self.widths:
            raise TrainingError(
                f"the embedding of {key} has {found.shape[-1]} channels, expected "
                f"{' or '.join(map(str, sorted(self.widths)))}. Train on the embeddings of one model."
            )
        if options.input_type == "vector":
            return found.reshape(1, -1)
        return rows_for_head(found, options.longest, options.matrix_add_special_token, options.frame)

    def _joined(self, keys: Sequence[str]) -> Rows:
        if self.options.is_exact:
            return self._padded([self.rows(key) for key in keys])
        if self.options.is_token_level:
            matrices = [self.rows(key) for key in keys]
            return Rows(self._tensor(np.concatenate(matrices)), tuple(map(len, matrices)))
        # A sequence of several rows is read once. Neighbours of equal length go through attention together.
        found = {key: self.rows(key) for key in dict.fromkeys(keys)}
        place = {key: number for number, key in enumerate(sorted(found, key=lambda key: len(found[key])))}
        x = self._tensor(np.concatenate([found[key] for key in place]))
        return Rows(x, tuple(len(found[key]) for key in place), places=tuple(place[key] for key in keys))

    def _padded(self, matrices: Sequence[np.ndarray]) -> Rows:
        lengths = [len(matrix) for matrix in matrices]
        longest = max(lengths)
        padded = [np.pad(matrix, ((0, longest - len(matrix)), (0, 0))) for matrix in matrices]
        valid = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]  # (B, longest)
        return Rows(self._tensor(np.concatenate(padded)), (longest,) * len(matrices), valid.flatten().to(self.device))

    def _whole(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """Return the labels (B,) or (B, C) of whole sequences, and their rows."""
        target = self._tensor(np.stack([each.target for each in examples]))
        return target, torch.arange(len(examples), device=self.device)

    def _residues(self, examples: Sequence[Example], rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the labels (T,) or (T, C) of the rows of matrices, and the rows of the table they belong to.

        The rows before and after the residues, and those of padding, have no label. In LucaOneTasks with several
        labels, they have none of the labels instead.
        """
        negative = self.options.is_exact and self.options.task_type == "multi_label"
        first = int(self.options.frame or self.options.matrix_add_special_token)
        targets = []
        for each, length in zip(examples, rows.lengths, strict=True):
            target = np.full((length, *each.target.shape[1:]), 0.0 if negative else np.nan, dtype=np.float32)
            residues = length - 2 * first
            known = each.target[:residues]
            if residues != min(len(each.target), self.options.longest) and not self.options.is_exact:
                raise TrainingError(
                    f"{each.id} has {len(each.target)} labels, but its matrix has {residues} rows of residues; "
                    "expected a label for each. Correct the label, or train on the embeddings of a model with a row "
                    "for each residue."
                )
            target[first : first + len(known)] = known
            targets.append(target)
        owner = torch.repeat_interleave(torch.arange(len(examples)), torch.tensor(rows.lengths))
        return self._tensor(np.concatenate(targets)), owner.to(self.device)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device)

    def _pooled(self, tower: Tower, names: Sequence[str]) -> dict[str, Tensor]:
        """Return the vectors (D,) of sequences, pooled from their rows."""
        found: dict[str, Tensor] = {}
        for start in range(0, len(names), _POOLED_AT_ONCE):
            part = names[start : start + _POOLED_AT_ONCE]
            matrices = [self.rows(name) for name in part]
            x = torch.from_numpy(np.concatenate(matrices).astype(np.float32, copy=False))
            vectors = tower.pooler(x, runs_of([len(matrix) for matrix in matrices]))  # (B, D)
            found |= zip(part, vectors.unbind(), strict=True)
        return found


def pools_once(head: Head, options: TrainingOptions) -> bool:
    """Return whether the vector of a sequence stays the same while a network is trained."""
    structure = head.structure
    return structure.encoder is None and not has_parameters(structure.pooling) and not options.is_token_level
