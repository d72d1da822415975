"""Trained models of a task side by side."""

from dataclasses import replace

import numpy as np
import pytest
from trained_tasks import trained_task

from lucaflow.errors import StoreError
from lucaflow.training.compared import comparison_table, read_resamples, side_by_side, write_resamples
from lucaflow.training.statistics import Scores


@pytest.fixture(scope="module")
def result():
    return trained_task("regression")


def other_model(scores: Scores, shift: float) -> Scores:
    """Return the scores of a model `other` that differ from those of mini-1 by a number, in each resample too."""
    names = {key: ("other" if key[0] == "mini-1" else key[0], key[1]) for key in scores.values}
    values = {names[key]: value + shift for key, value in scores.values.items()}
    return replace(scores, values=values, drawn={names[key]: each + shift for key, each in scores.drawn.items()})


def test_what_is_written_is_read_and_its_intervals_are_the_same(result, tmp_path):
    write_resamples(tmp_path / "resamples.tsv", result)
    found = read_resamples(tmp_path / "resamples.tsv")
    assert list(found.values) == list(result.test.values)
    assert (found.rows, found.clusters, found.certainty) == (40, 40, "reliable")
    for key in found.values:
        assert np.array_equal(found.interval(*key), result.test.interval(*key), equal_nan=True)
    (tmp_path / "resamples.tsv").write_text("model\n", encoding="utf-8")
    with pytest.raises(StoreError, match=r"resamples.tsv is damaged"):
        read_resamples(tmp_path / "resamples.tsv")


def test_without_intervals_nothing_is_drawn(result, tmp_path):
    few = replace(result.test, clusters=9, drawn={key: np.zeros(0) for key in result.test.values})
    write_resamples(tmp_path / "resamples.tsv", replace(result, test=few))
    found = read_resamples(tmp_path / "resamples.tsv")
    assert found.certainty == "none"
    assert np.isnan(found.interval("mini-1", "R2")).all()


def test_leads_are_paired_and_positive_where_the_chosen_model_is_better(result):
    scores = side_by_side({"mini-1": result.test, "other": other_model(result.test, 0.25)})
    models = list(dict.fromkeys(model for model, _ in scores.values))
    assert models == ["mini-1", "other", "mean", "composition", "mean_vector (mini-1)", "best_hit",
                      "mean_vector (other)"]  # fmt: skip
    table = comparison_table(scores, {"mini-1", "other"}, "mini-1", result.metric).set_index(["model", "metric"])
    assert table.index[0] == ("mini-1", result.metric)
    for metric, better in (("R2", -0.25), ("mean absolute error", 0.25)):
        assert table.loc[("other", metric), ["lead", "lead_low", "lead_high"]].tolist() == pytest.approx([better] * 3)
        assert table.loc[("mini-1", metric), "lead"] == 0
    assert table["trained"].groupby("model").first().to_dict() == {name: int(name in ("mini-1", "other"))
                                                                   for name in models}  # fmt: skip


def test_scores_of_other_rows_are_refused(result):
    with pytest.raises(
        StoreError, match="the training with other was tested on 39 rows of 40 clusters, another one on"
    ):
        side_by_side({"mini-1": result.test, "other": replace(result.test, rows=39)})
