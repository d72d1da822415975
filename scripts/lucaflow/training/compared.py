"""The trained models of a task side by side, and with the baselines: on the same test rows, by the same resamples.

`resamples.tsv` of each training has a row for each model and metric: its value on the test rows, then on each resample
of their clusters. What is drawn is the same for all trainings on these rows, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lucaflow.errors import DAMAGE, StoreError, damage
from lucaflow.files.writing import write_text
from lucaflow.training.statistics import Scores

if TYPE_CHECKING:  # it loads torch, which comparing needs not
    from lucaflow.training.results import TrainingResult

# Baselines that read embeddings, so that each model has its own.
_BY_EMBEDDINGS = ("mean_vector", "side_a", "side_b")
_ABOUT = ["model", "metric", "value", "rows", "clusters"]
COMPARISON_COLUMNS = [
    "model", "trained", "metric", "value", "low", "high", "lead", "lead_low", "lead_high", "rows", "clusters",
    "intervals",
]  # fmt: skip


def write_resamples(path: Path, result: TrainingResult) -> None:
    """Write resamples.tsv: the scores on test, and on each resample of its clusters."""
    scores = result.test
    keys = list(scores.values)
    about = [(*key, scores.values[key], scores.rows, scores.clusters) for key in keys]
    drawn = np.stack([scores.drawn[key] for key in keys])  # (models and metrics, R)
    numbered = pd.DataFrame(drawn, columns=[f"resample_{number}" for number in range(1, drawn.shape[1] + 1)])
    table = pd.concat([pd.DataFrame(about, columns=_ABOUT), numbered], axis=1)
    # With all digits, so that intervals are those of metrics.tsv.
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n", float_format="%.17g"))


def read_resamples(path: Path) -> Scores:
    """Return what `write_resamples` wrote. Raises StoreError."""
    try:
        table = pd.read_csv(path, sep="\t", dtype={"model": str, "metric": str}, keep_default_na=False, na_values=[""])
        keys = list(zip(table["model"], table["metric"], strict=True))
        drawn = table.drop(columns=_ABOUT).to_numpy(dtype=float)
        values = dict(zip(keys, table["value"].astype(float).tolist(), strict=True))
        rows, clusters = (int(table[name].iloc[0]) for name in ("rows", "clusters"))
        return Scores(values, dict(zip(keys, drawn, strict=True)), rows, clusters, ())
    except (*DAMAGE, pd.errors.ParserError) as error:
        raise StoreError(f"{path} is damaged ({damage(error)}). Delete it and run again.") from error


def side_by_side(scores: Mapping[str, Scores]) -> Scores:
    """Return the scores of all trained models and of the baselines as one. scores: by the name of the model.

    Of several models, a baseline that reads embeddings has the model's name in brackets. Raises StoreError if the
    scores are of other rows.
    """
    first = next(iter(scores.values()))
    for model, found in scores.items():
        if (found.rows, found.clusters) != (first.rows, first.clusters):
            raise StoreError(
                f"the training with {model} was tested on {found.rows} rows of {found.clusters} clusters, another one "
                f"on {first.rows} of {first.clusters}. Run again."
            )
    names: dict[tuple[str, str], tuple[str, tuple[str, str]]] = {}
    for model, found in scores.items():
        for name, metric in found.values:
            own = f"{name} ({model})" if name in _BY_EMBEDDINGS and len(scores) > 1 else name
            names.setdefault((own, metric), (model, (name, metric)))
    # Trained models first, then the baselines.
    order = sorted(names, key=lambda key: key[0] not in scores)
    values = {key: scores[names[key][0]].values[names[key][1]] for key in order}
    drawn = {key: scores[names[key][0]].drawn[names[key][1]] for key in order}
    return Scores(values, drawn, first.rows, first.clusters, ())


def comparison_table(scores: Scores, trained: Collection[str], chosen: str, primary: str) -> pd.DataFrame:
    """Return comparison.tsv: each metric of each model and baseline, and the lead of the chosen model over it.

    scores: of all, side by side; trained: the names of trained models; chosen: the best of them by dev; primary: the
    metric that comes first. A lead is positive where the chosen model is better, also for errors.
    """
    found = []
    metrics = sorted({metric: None for _, metric in scores.values}, key=lambda name: name != primary)
    models = list(dict.fromkeys(model for model, _ in scores.values))
    for metric in metrics:
        for model in models:
            lead = scores.difference(chosen, model, metric)
            own = (scores.values[model, metric], *scores.interval(model, metric))
            about = (scores.rows, scores.clusters, scores.certainty)
            found.append((model, int(model in trained), metric, *own, lead.value, lead.low, lead.high, *about))
    return pd.DataFrame(found, columns=COMPARISON_COLUMNS)
