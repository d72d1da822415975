"""The page of a trained model, from real small trainings."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from trained_tasks import NAMES, tables_of, trained_task

from lucaflow.downstream.evaluation import Comparison
from lucaflow.report.trained_task import models_of
from lucaflow.report.training import report_page, write_report
from lucaflow.report.training_tables import calibration, calibration_error, labels_table, parts_table, scores_table
from lucaflow.report.training_words import sentence, warnings_of
from lucaflow.training.class_scores import class_scores
from lucaflow.training.results import TrainingResult
from lucaflow.training.statistics import score


@pytest.fixture(scope="module")
def result() -> TrainingResult:
    return trained_task()


def scored(result: TrainingResult, right: float, other: float, clusters: int = 60) -> TrainingResult:
    """Return the task with a model and a baseline that are right as often."""
    truth = np.arange(300) % 2
    said = {name: np.where(np.arange(300) % 100 < 100 * share, truth, 1 - truth)
            for name, share in ((result.model, right), ("composition", other))}  # fmt: skip
    models = {name: Comparison(truth, each, each, 0) for name, each in said.items()}
    found = score(models, np.arange(300) // 5 % clusters, "multi_class")
    return replace(result, test=found, dev=found, baseline="composition", metric="accuracy")


def test_the_sentence_on_top_is_as_sure_as_the_interval_of_the_difference(result):
    better = sentence(scored(result, 0.9, 0.6))
    assert better.startswith(
        "mini-1 has an accuracy of 0.9 on the test rows, 0.3 higher than the best baseline, the composition of the "
        "sequences: it is better (95 % interval of its lead 0."
    )
    assert better.endswith(", 60 test clusters).")
    assert "0.3 lower than the best baseline, the composition of the sequences: it is worse" in sentence(
        scored(result, 0.6, 0.9)
    )
    assert ": this may be chance (" in sentence(scored(result, 0.61, 0.6))
    assert "few clusters, so this may be chance (95 % interval" in sentence(scored(result, 0.9, 0.6, 20))
    assert sentence(scored(result, 0.9, 0.6, 9)).endswith(
        ": too few clusters to tell chance from merit (no interval from 9 test clusters)."
    )
    assert "the same as the best baseline, the composition of the sequences: it is neither" in sentence(
        scored(result, 0.6, 0.6)
    )


def test_less_of_an_error_is_better():
    result = trained_task("regression")
    near, far = (np.linspace(0, 1, 100) + error for error in (0.1, 0.4))
    models = {name: Comparison(np.linspace(0, 1, 100), each, each, 0)
              for name, each in ((result.model, near), ("mean", far))}  # fmt: skip
    found = score(models, np.arange(100), "regression")
    said = sentence(replace(result, test=found, baseline="mean", metric="mean absolute error"))
    assert "has a mean absolute error of 0.1 on the test rows, 0.3 lower than the best baseline" in said
    assert "it is better (95 % interval of its lead 0.3 to 0.3" in said


def warned(result: TrainingResult) -> str:
    return "\n".join(warnings_of(result))


def test_a_good_model_has_no_warnings(result):
    assert warnings_of(replace(scored(result, 0.9, 0.6), kept=2)) == []


def test_each_warning(result):
    good = replace(scored(result, 0.9, 0.6), kept=2)
    constant = Comparison(good.compared.truth, np.full(len(good.compared.truth), 1), good.compared.scores, 0)
    assert "predicts <b> for every test row" in warned(replace(good, compared=constant))
    assert "A baseline wins: the composition of the sequences (accuracy 0.9) is better than" in warned(
        replace(scored(result, 0.6, 0.9), kept=2)
    )
    assert "Dev is far from test: the accuracy is 0.9 on dev and 0.6 on test" in warned(
        replace(scored(result, 0.6, 0.5), kept=2, dev=good.test)
    )
    assert "The first epoch was the best one" in warned(replace(good, kept=1))
    assert "The last of 4 epochs was the best one" in warned(replace(good, kept=4))
    slow = [replace(record, train_loss=0.5 - record.epoch / 1000) for record in good.records]
    assert "The loss of train fell from 0.499 to 0.496 only" in warned(replace(good, records=tuple(slow)))
    without = Comparison(np.zeros(9, dtype=int), np.arange(9) % 3, np.zeros(9), 0)
    assert "Test has no rows of <b>, gamma: nothing is known" in warned(replace(good, compared=without))
    assert "Test has 20 clusters: fewer than 30" in warned(replace(scored(result, 0.9, 0.6, 20), kept=2))
    assert "Test has 9 clusters: fewer than 10, so there are no intervals." in warned(scored(result, 0.9, 0.6, 9))


def test_warnings_about_sequences(result):
    good = replace(scored(result, 0.9, 0.6), kept=2)
    longest = max(result.rows.sequences, key=lambda each: len(each.residues))
    place = int(result.split.rows("test")[0])
    sequences = [*result.rows.sequences]
    sequences[place] = replace(longest, residues="M" * 99)
    longer = replace(good, rows=replace(result.rows, sequences=sequences))
    assert "1 sequence of dev and test is longer than any of train (28 residues)" in warned(longer)
    assert "Of 1 sequence the network reads the first 62 residues alone." in warned(longer)
    leakage = result.leakage.assign(share=np.where(result.leakage["identity"] == "0.5", 0.25, 0.0))
    assert "25% of the test rows resemble a sequence of train at 50% identity or more" in warned(
        replace(good, leakage=leakage)
    )


@pytest.mark.parametrize("task_type", ["multi_class", "binary_class", "multi_label", "regression"])
def test_a_page_of_each_type_of_task_needs_nothing_but_itself(task_type, tmp_path):
    result = trained_task(task_type)
    write_report(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert sentence(result).replace("<", "&lt;") in page
    assert not re.search("(src|href)=(?!'data:)", page)
    assert "<b>alpha" not in page
    pictures = page.count("src='data:image/png;base64,")
    assert pictures == {"multi_class": 4, "binary_class": 4, "multi_label": 3, "regression": 3}[task_type]
    tables = tables_of(page)
    parts = next(table for table in tables if "part" in table and "clusters" in table)
    assert parts["rows"] == ["120", "20", "40", "20"]
    scores = next(table for table in tables if "model" in table)
    assert [cell.split(":")[0] for cell in scores["model"]] == models_of(result)
    assert ("are those of the class &lt;b&gt;." in page) == (task_type == "binary_class")
    assert ("Values" in page) == ("residuals" in page) == (task_type == "regression")


def test_the_same_page_has_the_same_bytes(result):
    assert report_page(result) == report_page(result)


def test_parts_and_labels_are_counted(result):
    found = labels_table(result)
    assert set(found["class"]) == set(NAMES)
    assert (sum(found["train"]), sum(found["dev"]), sum(found["test"])) == (120, 20, 40)
    assert parts_table(result)["residues"][0] == "20 to 28"
    assert scores_table(result)["lead of mini-1"][0] == "-"


def test_scores_of_classes_are_those_of_their_rows():
    """Of 40 rows of b, 30 are found; the interval is that of 40 clusters, and without ten there is none."""
    truth = np.repeat([0, 1], [60, 40])
    predicted = np.where(np.arange(100) >= 90, 0, truth)
    found = class_scores(Comparison(truth, predicted, predicted, 0), np.arange(100), ("a", "b", "c"))
    assert found["rows"].tolist() == [60, 40, 0]
    assert found["predicted"].tolist() == [70, 30, 0]
    assert found["recall"].tolist()[:2] == [1, 0.75]
    assert found["precision"].tolist()[:2] == [pytest.approx(6 / 7), 1]
    assert found.loc[2, ["precision", "recall", "recall_low", "F1"]].isna().all()
    half = 1.96 * (0.75 * 0.25 / 40) ** 0.5
    assert found.loc[1, ["recall_low", "recall_high"]].tolist() == pytest.approx([0.75 - half, 0.75 + half], abs=0.04)
    sets = [np.eye(3, dtype=int)[each] for each in (truth, predicted)]
    several = class_scores(Comparison(*sets, sets[1], 0), np.arange(100), ("a", "b", "c"))
    pd.testing.assert_frame_equal(several, found)
    few = class_scores(Comparison(truth, predicted, predicted, 0), np.arange(100) % 9, ("a", "b", "c"))
    assert few["recall_low"].isna().all() and few["recall"].tolist()[:2] == [1, 0.75]


def test_calibration_compares_what_is_stated_with_what_is_right(result):
    stated = np.array([[0.95, 0.05, 0]] * 20 + [[0.3, 0.65, 0.05]] * 20)
    truth = np.array([0] * 16 + [1] * 4 + [1] * 12 + [2] * 8)
    compared = Comparison(truth, stated.argmax(axis=1), stated.max(axis=1), 0)
    predicted = result.predicted.copy()
    predicted[result.tested] = stated
    bins = calibration(replace(result, compared=compared, predicted=predicted))
    assert bins["stated"].tolist() == pytest.approx([0.65, 0.95])
    assert bins["right"].tolist() == [0.6, 0.8] and bins["rows"].tolist() == [20, 20]
    assert calibration_error(bins) == pytest.approx(0.1)
