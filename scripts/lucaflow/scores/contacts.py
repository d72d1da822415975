"""Which residues touch? The categorical Jacobian of a language model, which needs no trained contact head.

Each residue is replaced by each of the K letters in turn, and the logits of all residues are read: K n passes. Where
the exchange of one residue changes the logits of another one much, the model has learnt that the two belong together.
(Zhang, Wayment-Steele, Brixi, Wang, Kern, Ovchinnikov 2024.)

Letters in shapes: n residues, K letters of the type, P passes of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lucaflow.scores.letters import Letters
from lucaflow.scores.passes import Batch, LanguageModel, Pass, Tokens


def influences(model: LanguageModel, tokens: Tokens, letters: Letters, start: int = 0) -> Iterator[Batch]:
    """Yield the influence of each residue on all others, (p, n) float32 of p residues at once.

    The influence of residue i on residue j is the Frobenius norm of the (K, K) changes of the logits of j over the K
    letters at i, centred over both. start: number of the first residue to compute, where an earlier batch ended.
    """
    size, length = len(letters.ids), len(tokens)
    # Residues whose passes go together, so that every batch ends with all passes of a residue.
    together = max(1, model.batch_size(tokens) // size)
    for first in range(start, length, together):
        residues = range(first, min(first + together, length))
        passes = [Pass(((residue, int(token)),)) for residue in residues for token in letters.ids]
        found = [batch.rows[:, letters.ids] for batch in model.logits(tokens, passes)]  # (P n, K) each
        changed = np.concatenate(found).reshape(len(residues), size, length, size)
        yield Batch(first, residues.stop, np.stack([_norms(logits) for logits in changed]))


def _norms(logits: np.ndarray) -> np.ndarray:
    """Return the norms (n,) of logits (K, n, K): of each exchange, at each residue, for each letter."""
    exact = logits.astype(np.float64)
    centred = exact - exact.mean(0, keepdims=True)
    centred -= centred.mean(2, keepdims=True)
    return np.sqrt(np.square(centred).sum((0, 2))).astype(np.float32)


def contact_map(influence: np.ndarray) -> np.ndarray:
    """Return contact scores (n, n) float32 from the influences (n, n): symmetric, the diagonal 0.

    The matrix is symmetrised, and its average product is taken off (Dunn et al. 2008). The scores have no unit: compare
    them within one map.
    """
    exact = influence.astype(np.float64)
    np.fill_diagonal(exact, 0)
    exact = (exact + exact.T) / 2
    total = exact.sum()
    if total > 0:
        exact -= np.outer(exact.sum(0), exact.sum(1)) / total
    np.fill_diagonal(exact, 0)
    return exact.astype(np.float32)
