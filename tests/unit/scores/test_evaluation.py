"""Scores of variants beside what was measured, and beside BLOSUM62."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from lucaflow.records.variants import Substitution
from lucaflow.scores.baselines import blosum62, hydropathy
from lucaflow.scores.evaluation import MeasuredVariants, evaluate, sentences

METHODS = ["masked_marginals"]


def variants(positions=60, each=10, noise=0.5, of_baseline=2.0, ids=("a",)):
    """Return made-up variants whose effect depends on their position, as scores know it up to noise."""
    generator = np.random.default_rng(0)
    at = np.tile(np.repeat(np.arange(positions), each), len(ids))
    effect = generator.normal(size=positions)[at] + generator.normal(size=len(at))
    scores = {
        "masked_marginals": effect + noise * generator.normal(size=len(at)),
        "blosum62": effect + of_baseline * generator.normal(size=positions)[at],
    }
    names = np.repeat(ids, positions * each)
    return MeasuredVariants(names, at.astype(str), effect, (effect > 0).astype(float), scores)


def value(table, score, metric="Spearman correlation", column="value"):
    return table.set_index(["score", "metric"])[column][score, metric]


def test_a_correlation_is_spearmans_with_an_interval_by_positions():
    found = variants()
    table = evaluate(found, METHODS)
    expected = spearmanr(found.measured, found.scores["masked_marginals"]).statistic
    assert value(table, "masked_marginals") == pytest.approx(expected)
    low, high = (value(table, "masked_marginals", column=end) for end in ("low", "high"))
    assert low < expected < high
    alone = MeasuredVariants(found.ids, np.arange(600).astype(str), found.measured, found.binary, found.scores)
    narrow = evaluate(alone, METHODS)
    ends = [value(narrow, "blosum62", column=end) for end in ("low", "high")]
    assert np.ptp(ends) < value(table, "blosum62", column="high") - value(table, "blosum62", column="low")
    assert value(table, "masked_marginals", "ROC AUC") > 0.9
    assert set(table["positions"]) == {60}


@pytest.mark.parametrize(
    ("noise", "of_baseline", "verdict"),
    [(0.5, 3.0, "beats BLOSUM62"), (1.0, 0.9, "does not beat BLOSUM62"), (3.0, 0.5, "is worse than BLOSUM62")],
)
def test_a_score_that_does_not_beat_blosum62_says_so(noise, of_baseline, verdict):
    table = evaluate(variants(noise=noise, of_baseline=of_baseline), METHODS)
    assert value(table, "masked_marginals", column="verdict") == verdict
    assert value(table, "masked_marginals - blosum62", column="verdict") == verdict
    assert verdict in sentences(table, METHODS)[0]


def test_few_positions_give_no_interval_and_no_verdict():
    table = evaluate(variants(positions=8), METHODS)
    assert np.isnan(value(table, "masked_marginals", column="low"))
    assert value(table, "masked_marginals", column="verdict") == "too few positions to compare with BLOSUM62"


def test_each_sequence_counts_the_same_in_their_mean():
    table = evaluate(variants(ids=("a", "b", "c")), METHODS)
    of_score = table[(table["score"] == "masked_marginals") & (table["metric"] == "Spearman correlation")]
    of_score = of_score.set_index("id")["value"]
    assert of_score["mean of 3 sequences"] == pytest.approx(of_score[["a", "b", "c"]].mean())


def test_all_scores_are_compared_on_the_same_variants():
    found = variants()
    found.scores["blosum62"][:100] = np.nan
    found.measured[100:150] = np.nan
    table = evaluate(found, METHODS)
    assert set(table["variants"]) == {450}


def test_no_change_scores_0_by_every_baseline():
    same = [Substitution(3, "W", "W")]
    assert blosum62(same) == hydropathy(same) == blosum62([]) == hydropathy([]) == 0
    assert blosum62([Substitution(0, "O", "A")]) is None
    assert hydropathy([Substitution(0, "X", "A")]) is None
