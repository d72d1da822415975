"""How certain are the scores of models, and their differences?

Rows of a cluster are no independent evidence. So clusters are drawn, with replacement, and all their rows with them.
The same draws serve all models, so that their differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from lucaflow.downstream.evaluation import Comparison
from lucaflow.training.metric_names import LOWER_IS_BETTER
from lucaflow.training.resampled_metrics import Resamples, counted_classes, resampled

RESAMPLES = 1_000
CONFIDENCE = 0.95
# With fewer clusters an interval is marked, or there is none.
FEWEST_FOR_CERTAINTY, FEWEST_FOR_INTERVALS = 30, 10
TABLE_COLUMNS = ["split", "model", "metric", "value", "low", "high", "rows", "clusters", "intervals"]
_WEIGHTS_AT_ONCE = 8_000_000

Certainty = Literal["reliable", "unreliable", "none"]


@dataclass(frozen=True)
class Difference:
    """A model's score minus that of another, with its interval (NaN with too few clusters). Positive is better for the
    model, also for errors, whose sign is turned."""

    value: float
    low: float
    high: float
    certainty: Certainty

    @property
    def is_clear(self) -> bool:
        """Whether the interval is reliable and excludes zero."""
        return self.certainty == "reliable" and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Scores:
    """Scores of models on the same rows.

    values: each metric of each model; drawn: the same in resamples, (R,), empty with too few clusters; rows, clusters:
    their numbers; too_rare: numbers of the classes that macro averages leave out, since too few rows have them.
    """

    values: Mapping[tuple[str, str], float]
    drawn: Mapping[tuple[str, str], np.ndarray]
    rows: int
    clusters: int
    too_rare: tuple[int, ...]

    @property
    def certainty(self) -> Certainty:
        if self.clusters < FEWEST_FOR_INTERVALS:
            return "none"
        return "unreliable" if self.clusters < FEWEST_FOR_CERTAINTY else "reliable"

    def interval(self, model: str, metric: str) -> tuple[float, float]:
        """Return the ends of the 95 % interval; NaN with too few clusters, or if no resample has the metric."""
        return ends_of(self.drawn[model, metric])

    def difference(self, model: str, other: str, metric: str) -> Difference:
        """Return how much better a model is than another, paired by the resamples."""
        sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
        value = sign * (self.values[model, metric] - self.values[other, metric])
        low, high = ends_of(sign * (self.drawn[model, metric] - self.drawn[other, metric]))
        return Difference(value, low, high, self.certainty)

    def table(self, split: str) -> pd.DataFrame:
        """Return the rows of metrics.tsv; split: the name of the rows that the scores are of."""
        found = [
            (split, model, metric, value, *self.interval(model, metric), self.rows, self.clusters, self.certainty)
            for (model, metric), value in self.values.items()
        ]
        return pd.DataFrame(found, columns=TABLE_COLUMNS)


def score(
    comparisons: Mapping[str, Comparison],
    clusters: Sequence[str] | np.ndarray,
    task_type: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Scores:
    """Return the scores of models, by their names, on the same n rows, which are of these clusters (n,).

    Raises ValueError if a comparison has another number of rows.
    """
    names, numbers = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    for model, comparison in comparisons.items():
        if len(comparison.truth) != len(numbers):
            raise ValueError(f"{model} has {len(comparison.truth)} rows, and there are clusters of {len(numbers)}")
    if not len(numbers) or not comparisons:
        return Scores({}, {}, len(numbers), len(names), ())
    whole = Resamples(numbers, np.ones((1, len(names))))
    values = {
        (model, metric): float(found[0])
        for model, comparison in comparisons.items()
        for metric, found in resampled(comparison, task_type, whole).items()
    }
    drawn: dict[tuple[str, str], list[np.ndarray]] = {key: [] for key in values}
    if len(names) >= FEWEST_FOR_INTERVALS:
        for counts in draws(len(names), len(numbers), seed, resamples):
            for model, comparison in comparisons.items():
                for metric, found in resampled(comparison, task_type, Resamples(numbers, counts)).items():
                    drawn[model, metric].append(found)
    together = {key: np.concatenate(parts) if parts else np.zeros(0) for key, parts in drawn.items()}
    rare = counted_classes(next(iter(comparisons.values())), task_type)[1]
    return Scores(values, together, len(numbers), len(names), tuple(rare.tolist()))


def draws(clusters: int, rows: int, seed: int, resamples: int) -> Iterator[np.ndarray]:
    """Yield how often each cluster is drawn, (r, K), for some resamples at a time.

    What is drawn depends on the seed, and on the numbers of clusters and resamples alone.
    """
    generator = np.random.default_rng(seed)
    step = max(1, _WEIGHTS_AT_ONCE // max(1, rows))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = generator.integers(clusters, size=(count, clusters)) + clusters * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * clusters).reshape(count, clusters).astype(float)


def ends_of(drawn: np.ndarray) -> tuple[float, float]:
    """Return the ends of the 95 % interval of values (R,) of resamples; NaN if none has the value."""
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(low), float(high)
