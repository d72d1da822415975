"""How are scores of variants written, and compared with what was measured?"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lucaflow.files.writing import replacing
from lucaflow.records.variant_files import REASON, Variant, VariantsOfDataset
from lucaflow.records.variants import Substitution
from lucaflow.scores.baselines import BASELINES
from lucaflow.scores.evaluation import MeasuredVariants, evaluate
from lucaflow.scores.sequence_files import as_text

Score = Callable[[str, Sequence[Substitution], str], float]


@dataclass
class ScoredVariants:
    """What is known of the rows written. reasons: why rows have no score, without their lines."""

    rows: int = 0
    scored: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    metrics: pd.DataFrame | None = None

    @property
    def described(self) -> str:
        """A sentence for the log and the terminal."""
        text = f"{self.scored:,} of {self.rows:,} variants have scores"
        if self.reasons:
            reason, count = self.reasons.most_common(1)[0]
            text += f"; the others have a reason in variants.csv, {count:,} of them: {reason}"
        return text


def write_variants(path: Path, variants: VariantsOfDataset, score: Score) -> ScoredVariants:
    """Write variants.csv: the columns of the file, one for each method, and the reason where there is no score.

    score: of digest, changes and method. Rows with a measurement are compared with it.
    """
    found, measured = ScoredVariants(), _Measured(variants)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow((*variants.columns.names, *variants.methods, REASON))
        for variant in variants.rows():
            found.rows += 1
            if variant.reason or variant.target is None:
                table.writerow((*variant.cells, *("" for _ in variants.methods), variant.reason))
                found.reasons[_kind_of(variant.reason)] += 1
                continue
            scores = [score(variant.target.digest, variant.changes, method) for method in variants.methods]
            table.writerow((*variant.cells, *map(as_text, scores), ""))
            found.scored += 1
            measured.add(variant, scores)
    found.metrics = measured.evaluated()
    return found


def _kind_of(reason: str) -> str:
    """Return a reason without its line and the cell that it quotes."""
    text = reason.partition(": ")[2]
    return text.partition(": ")[2] if text.startswith(("'", '"')) and ": " in text else text


class _Measured:
    """Collects the variants with a change and a measurement."""

    def __init__(self, variants: VariantsOfDataset) -> None:
        self._variants = variants
        self._baselines = BASELINES[variants.seq_type]
        self._ids: list[str] = []
        self._positions: list[str] = []
        self._numbers: list[tuple[float, ...]] = []

    def add(self, variant: Variant, scores: Sequence[float]) -> None:
        columns = self._variants.columns
        if columns.measured is None or not variant.changes or variant.target is None:
            return
        value = number_of(variant.cells[columns.measured])
        binary = number_of(variant.cells[columns.binary]) if columns.binary is not None else np.nan
        baselines = (baseline(variant.changes) for baseline in self._baselines.values())
        self._ids.append(variant.target.id)
        self._positions.append(",".join(str(change.position) for change in variant.changes))
        self._numbers.append((value, binary, *scores, *(np.nan if found is None else found for found in baselines)))

    def evaluated(self) -> pd.DataFrame | None:
        """Return the rows of variants.metrics.tsv; None if the file has no measurements."""
        if self._variants.columns.measured is None:
            return None
        names = [*self._variants.methods, *self._baselines]
        table = np.array(self._numbers, dtype=np.float64).reshape(len(self._ids), 2 + len(names)).T
        scores = dict(zip(names, table[2:], strict=True))
        found = MeasuredVariants(np.array(self._ids), np.array(self._positions), table[0], table[1], scores)
        return evaluate(found, self._variants.methods)


def number_of(cell: str) -> float:
    """Return the number in a cell; NaN for another text.

    >>> number_of(" 0.5 "), number_of("NA")
    (0.5, nan)
    """
    try:
        value = float(cell)
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")


def reasons_table(reasons: Counter[str]) -> pd.DataFrame:
    """Return why rows have no score, the most frequent reason first."""
    return pd.DataFrame(reasons.most_common(), columns=["reason", "rows"])
