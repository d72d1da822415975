"""How well do scores of variants rank what was measured, and better than a table of amino acids?

Variants at one position are no independent evidence, since some positions bear any letter and others none. So an
interval is by bootstrap over positions, and not by Fisher's formula, which takes each variant for itself. The same
draws serve all scores, so that a score and BLOSUM62 are compared on the same variants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lucaflow.downstream.evaluation import Comparison
from lucaflow.scores.baselines import BLOSUM62
from lucaflow.training.statistics import RESAMPLES, Certainty, Difference, Scores, score

SPEARMAN = "Spearman correlation"
# ProteinGym's measures of a binary column.
BINARY_METRICS = ("ROC AUC", "Matthews correlation")
COLUMNS = ["id", "score", "metric", "value", "low", "high", "variants", "positions", "intervals", "verdict"]
MEAN = "mean of {} sequences"
# Of larger tables fewer samples are drawn: their intervals are narrow, and drawing takes time.
_MANY_VARIANTS, _FEWER_RESAMPLES = 20_000, 200
_FEWEST_VARIANTS = 3


@dataclass(frozen=True)
class MeasuredVariants:
    """Variants (n,) of one or several sequences with a measurement each.

    ids: of their sequences; positions: of their changes, as one text; measured: higher is fitter; binary: 1 for fit,
    0 for unfit, NaN where the column says neither; scores: by name, NaN where there is none.
    """

    ids: np.ndarray
    positions: np.ndarray
    measured: np.ndarray
    binary: np.ndarray
    scores: Mapping[str, np.ndarray]

    def of(self, identifier: str) -> MeasuredVariants:
        """Return the variants of a sequence that have every score and a measurement."""
        chosen = (self.ids == identifier) & np.isfinite(self.measured)
        for values in self.scores.values():
            chosen &= np.isfinite(values)
        scores = {name: values[chosen] for name, values in self.scores.items()}
        return MeasuredVariants(
            self.ids[chosen], self.positions[chosen], self.measured[chosen], self.binary[chosen], scores
        )


def evaluate(variants: MeasuredVariants, methods: Sequence[str]) -> pd.DataFrame:
    """Return the rows of variants.metrics.tsv, for each sequence and, of several, their mean.

    methods: names of the model's scores among all; the others are baselines. Each row has a metric of a score with its
    95 % interval, or the difference of a score's correlation and that of BLOSUM62. verdict: what this difference says.
    """
    found: dict[str, list[_Part]] = {}
    for number, identifier in enumerate(dict.fromkeys(variants.ids.tolist())):
        chosen = variants.of(identifier)
        if len(chosen.measured) >= _FEWEST_VARIANTS:
            found[identifier] = [*_parts(chosen, seed=number)]
    rows = [row for identifier, parts in found.items() for part in parts for row in _rows(identifier, part, methods)]
    if len(found) > 1:
        name = MEAN.format(len(found))
        for kind in (0, 1):
            parts = [parts[kind] for parts in found.values() if len(parts) > kind]
            if len(parts) > 1:
                rows += _rows(name if len(parts) == len(found) else MEAN.format(len(parts)), _mean(parts), methods)
    return pd.DataFrame(rows, columns=COLUMNS)


@dataclass(frozen=True)
class _Part:
    """Scores of the same variants by some metrics."""

    scores: Scores
    metrics: tuple[str, ...]


def _parts(variants: MeasuredVariants, seed: int) -> Iterator[_Part]:
    """Yield the comparison with the measurements, and that with the binary column if it has both values."""
    resamples = RESAMPLES if len(variants.measured) <= _MANY_VARIANTS else _FEWER_RESAMPLES
    comparisons = {name: Comparison(variants.measured, values, values, 0) for name, values in variants.scores.items()}
    yield _Part(score(comparisons, variants.positions, "regression", seed, resamples), (SPEARMAN,))
    known = np.isin(variants.binary, (0, 1))
    truth = variants.binary[known].astype(int)
    if len(np.unique(truth)) < 2:
        return
    comparisons = {
        # ProteinGym calls the half of the variants with higher scores fit.
        name: Comparison(truth, (values[known] > np.median(values[known])).astype(int), values[known], 0)
        for name, values in variants.scores.items()
    }
    yield _Part(score(comparisons, variants.positions[known], "binary_class", seed, resamples), BINARY_METRICS)


def _mean(parts: Sequence[_Part]) -> _Part:
    """Return the mean over sequences, each of which counts the same; of the resamples too, if all have some."""
    metrics = parts[0].metrics
    values, drawn = {}, {}
    for key in parts[0].scores.values:
        if key[1] not in metrics:
            continue
        values[key] = float(np.nanmean([part.scores.values[key] for part in parts]))
        each = [part.scores.drawn[key] for part in parts]
        least = min(map(len, each))
        drawn[key] = np.mean([found[:least] for found in each], axis=0) if least else np.zeros(0)
    rows, clusters = (sum(getattr(part.scores, name) for part in parts) for name in ("rows", "clusters"))
    return _Part(Scores(values, drawn, rows, clusters, ()), metrics)


def _rows(identifier: str, part: _Part, methods: Sequence[str]) -> Iterator[tuple]:
    scores = part.scores
    size = scores.rows, scores.clusters, scores.certainty
    compared = (BLOSUM62, SPEARMAN) in scores.values and SPEARMAN in part.metrics
    for name in dict.fromkeys(name for name, _ in scores.values):
        for metric in part.metrics:
            verdict = ""
            if compared and name in methods:
                verdict = verdict_of(scores.difference(name, BLOSUM62, metric))
            value = scores.values[name, metric]
            yield identifier, name, metric, value, *scores.interval(name, metric), *size, verdict
    for name in methods if compared else ():
        difference = scores.difference(name, BLOSUM62, SPEARMAN)
        ends = difference.value, difference.low, difference.high
        yield identifier, f"{name} - {BLOSUM62}", SPEARMAN, *ends, *size, verdict_of(difference)


def verdict_of(difference: Difference) -> str:
    """Return what the difference of a score and BLOSUM62 says, in words.

    >>> verdict_of(Difference(0.1, -0.02, 0.22, "reliable"))
    'does not beat BLOSUM62'
    """
    certainty: Certainty = difference.certainty
    if certainty != "reliable":
        return "too few positions to compare with BLOSUM62"
    if difference.low > 0:
        return "beats BLOSUM62"
    return "is worse than BLOSUM62" if difference.high < 0 else "does not beat BLOSUM62"


def sentences(table: pd.DataFrame, methods: Sequence[str]) -> list[str]:
    """Return for each score of the model a sentence on its correlation, as the log and the terminal show it."""
    last = table["id"].iloc[-1] if len(table) else ""
    chosen = table[(table["metric"] == SPEARMAN) & (table["id"] == _of_all(table, last))].set_index("score")
    found = []
    for name in methods:
        if name not in chosen.index:
            continue
        row = chosen.loc[name].to_dict()
        interval = f" ({row['low']:.2f} to {row['high']:.2f})" if np.isfinite(row["low"]) else ""
        text = f"{name}: Spearman {row['value']:.2f}{interval} over {row['variants']:,} variants"
        if BLOSUM62 in chosen.index:
            text += f"; BLOSUM62 {chosen.loc[BLOSUM62].to_dict()['value']:.2f}: {row['verdict']}"
        found.append(text)
    return found


def _of_all(table: pd.DataFrame, last: str) -> str:
    """Return the id of the rows that speak for all sequences: their mean, or else the only one."""
    means = [identifier for identifier in table["id"].unique() if identifier.startswith("mean of ")]
    return means[0] if means else last
