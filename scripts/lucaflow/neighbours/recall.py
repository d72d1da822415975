"""How many of the exact neighbours does an approximate search find?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from lucaflow.neighbours.comparison import ALL, LabelsCompared, Metric
from lucaflow.neighbours.datasets import Searched
from lucaflow.neighbours.labels import agreement


def with_recall(compared: LabelsCompared, searched: Searched, model: str) -> LabelsCompared:
    """Return the numbers about neighbours with the recall of an approximate search first, and its 95 % interval.

    Of an exact search that was to be approximate, it is said that it is exact.
    """
    k = searched.neighbours.rows.shape[1]
    if not k:
        return compared
    if searched.recall is None:
        said = "Neighbours were searched exactly, since there are few sequences."
        return replace(compared, sentences=(*compared.sentences, said))
    of = agreement(searched.recall, np.zeros(len(searched.recall), dtype=np.int64))
    row = Metric(model, f"recall of {k} neighbours", ALL, of.value, of.low, of.high, of.sequences)
    said = (
        f"The search for neighbours is approximate. Of the {k} that an exact search finds it finds {row.in_words()}, "
        f"by {of.sequences:,} sequences that were searched both ways."
    )
    rows = [*compared.metrics.itertuples(index=False), row]
    return replace(
        compared, metrics=pd.DataFrame(rows, columns=list(Metric._fields)), sentences=(*compared.sentences, said)
    )
