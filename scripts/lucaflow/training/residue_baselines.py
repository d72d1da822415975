"""How good is a prediction of residues that needs no network, and no embedding?

| baseline | predicts |
|---|---|
| `majority`, `mean` | the shares of the classes among the residues of train, their mean value |
| `letter` | the same among the residues of train with the same letter |
| `letters_nearby` | by the letters of the residue and of seven on each side |

`letters_nearby` is a logistic regression; of values, and of several labels, a ridge regression. How strongly it is
regularised is chosen by dev.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lucaflow.training.scored import Scored, is_labelled
from lucaflow.training.splits import LabelledRows, Split

if TYPE_CHECKING:  # imported where it is needed
    from scipy.sparse import csr_matrix

    Model = Callable[[csr_matrix], np.ndarray]

logger = logging.getLogger(__name__)

# Letters of sequences; the last one is for positions beyond an end.
_LETTERS = 27
_BEYOND = _LETTERS - 1
_NEARBY = 7
# Labels of the mean of train that each letter gets besides its own.
_PRIOR = 1.0
# More residues of train tell a linear model of so few numbers nothing new.
_MOST_FITTED = 200_000
_AT_ONCE = 200_000
_INVERSE_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
_RIDGE_STRENGTHS = (1.0, 100.0, 10_000.0)
_MOST_STEPS = 200


def residue_baselines(
    rows: LabelledRows, split: Split, labels: Sequence[np.ndarray], scored: Scored
) -> Mapping[str, np.ndarray]:
    """Return what each baseline predicts for the N residues that are scored: probabilities (N, C), or values (N, 1).

    split: of the rows; labels: of the residues of each row. Those of train are learned from, those of dev choose how
    strongly to regularise.
    """
    letters = Letters.of([sequence.residues for sequence in rows.sequences])
    side = rows.sides[:, 0]
    train = split.rows("train").tolist()
    there = [np.flatnonzero(is_labelled(labels[row])) for row in train]
    owners, places = np.repeat(train, [len(each) for each in there]), np.concatenate(there)
    values = np.concatenate([labels[row][place] for row, place in zip(train, there, strict=True)])
    targets = scored.targets
    shares = _shares(values, targets.task_type, targets.classes)
    usual = shares.mean(axis=0)
    positions = scored.positions if scored.positions is not None else np.zeros(0, dtype=int)
    asked = letters.at(side[scored.rows], positions)
    kept = np.unique(np.linspace(0, len(owners) - 1, min(len(owners), _MOST_FITTED)).astype(int))
    if len(kept) < len(owners):
        logger.info("letters_nearby is fitted to %d of the %d residues of train, spread evenly", len(kept), len(owners))
    given = letters.around(side[owners[kept]], places[kept])
    windows = letters.around(side[scored.rows], positions)
    return {
        "mean" if targets.task_type == "regression" else "majority": np.broadcast_to(usual, (len(asked), len(usual))),
        "letter": _by_letter(letters.at(side[owners], places), shares, usual)[asked],
        "letters_nearby": _fitted(given, values[kept], windows, scored),
    }


@dataclass(frozen=True)
class Letters:
    """The letters of sequences as numbers, one sequence after another.

    codes: with `_NEARBY` before and after each sequence that are beyond its ends; starts: (U,) the first letter of
    each.
    """

    codes: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, sequences: Sequence[str]) -> Letters:
        beyond = chr(ord("A") + _BEYOND) * _NEARBY
        text = "".join(f"{beyond}{residues}{beyond}" for residues in sequences)
        codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8) - np.uint8(ord("A"))
        sizes = np.array([len(residues) + 2 * _NEARBY for residues in sequences], dtype=np.int64)
        return cls(np.minimum(codes, _BEYOND), np.cumsum(sizes) - sizes + _NEARBY)

    def at(self, sequences: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the letters (n,) at positions (n,) of sequences (n,)."""
        return self.codes[self.starts[sequences] + positions].astype(int)

    def around(self, sequences: np.ndarray, positions: np.ndarray) -> csr_matrix:
        """Return the letters around residues as 0 and 1, (n, 15 x 27)."""
        from scipy.sparse import csr_matrix

        width = 2 * _NEARBY + 1
        windows = np.lib.stride_tricks.sliding_window_view(self.codes, width)
        numbers = windows[self.starts[sequences] + positions - _NEARBY].astype(np.int32)  # (n, 15)
        columns = (numbers + _LETTERS * np.arange(width, dtype=np.int32)).ravel()
        ends = np.arange(0, len(columns) + 1, width)
        return csr_matrix((np.ones(len(columns), dtype=np.float32), columns, ends), (len(numbers), width * _LETTERS))


def _shares(values: np.ndarray, task_type: str, classes: int) -> np.ndarray:
    """Return labels as a share of each class, (n, C), or as numbers, (n, 1)."""
    if task_type in {"binary_class", "multi_class"}:
        return np.eye(classes, dtype=np.float32)[values.astype(int)]
    return values.reshape(len(values), -1).astype(float)


def _by_letter(letters: np.ndarray, shares: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return the mean labels (27, C) of each letter, those of all letters counted in as one residue more."""
    sums = np.zeros((_LETTERS, shares.shape[1]))
    np.add.at(sums, letters, shares)
    counts = np.bincount(letters, minlength=_LETTERS)[:, None]
    return np.asarray((sums + _PRIOR * usual) / (counts + _PRIOR))


def _fitted(given: csr_matrix, values: np.ndarray, asked: csr_matrix, scored: Scored) -> np.ndarray:
    """Return the predictions (N, C) of a linear model, fitted to features (n, F) and values (n,) or (n, C)."""
    task_type, classes = scored.targets.task_type, scored.targets.classes
    dev = scored.split.rows("dev")
    truth = _shares(scored.targets.values[dev], task_type, classes)
    if task_type in {"binary_class", "multi_class"}:
        numbers = values.astype(int)
        if len(np.unique(numbers)) == 1:
            return np.broadcast_to(np.eye(classes)[numbers[0]], (asked.shape[0], classes))
        models = (_logistic(given, numbers, classes, strength) for strength in _INVERSE_STRENGTHS)
        return _best(models, asked, dev, lambda found: float(-np.log(np.maximum(found[truth > 0], 1e-12)).mean()))
    models = (_ridge(given, values, strength, task_type == "multi_label") for strength in _RIDGE_STRENGTHS)
    return _best(models, asked, dev, lambda found: float(np.mean((found - truth) ** 2)))


def _best(
    models: Iterator[Model], asked: csr_matrix, dev: np.ndarray, loss: Callable[[np.ndarray], float]
) -> np.ndarray:
    """Return what the model with the lowest loss on dev predicts."""
    chosen = min(models, key=lambda model: loss(_in_parts(model, asked[dev])))
    return _in_parts(chosen, asked)


def _in_parts(model: Model, asked: csr_matrix) -> np.ndarray:
    starts = range(0, asked.shape[0], _AT_ONCE)
    return np.concatenate([model(asked[start : start + _AT_ONCE]) for start in starts])


def _logistic(given: csr_matrix, numbers: np.ndarray, classes: int, inverse_strength: float) -> Model:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=_MOST_STEPS, C=inverse_strength)
    with warnings.catch_warnings():
        # What is not fully fitted is still a prediction, and dev chooses.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(given, numbers)

    def model(asked: csr_matrix) -> np.ndarray:
        found = np.zeros((asked.shape[0], classes))
        found[:, fitted.classes_] = fitted.predict_proba(asked)
        return found

    return model


def _ridge(given: csr_matrix, values: np.ndarray, strength: float, are_shares: bool) -> Model:
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=strength, solver="sparse_cg").fit(given, values.reshape(len(values), -1))

    def model(asked: csr_matrix) -> np.ndarray:
        found = fitted.predict(asked).reshape(asked.shape[0], -1)
        return np.asarray(found.clip(0, 1) if are_shares else found)

    return model
