import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from lucaflow.training.metrics import metrics_of
from lucaflow.training.ranking import average_precision, correlation, roc_auc

RANDOM = np.random.default_rng(1)
TRUTH = RANDOM.integers(0, 4, 50)
# Few digits, so that there are equal scores.
SCORES = RANDOM.dirichlet(np.ones(4), 50).round(1).astype(np.float32)


def found(task_type, truth, scores, exact=False):
    return metrics_of(task_type, np.array(truth), np.array(scores, dtype=np.float32), exact)


def test_rankings_are_scikit_learns():
    actual = TRUTH == 2
    assert roc_auc(actual, SCORES[:, 2]) == pytest.approx(sklearn.roc_auc_score(actual, SCORES[:, 2]))
    expected = sklearn.average_precision_score(actual, SCORES[:, 2])
    assert average_precision(actual, SCORES[:, 2]) == pytest.approx(expected)


def test_correlations_are_scipys():
    truth, scores = RANDOM.normal(size=(2, 30))
    expected = stats.pearsonr(truth, scores)
    assert correlation(truth, scores) == pytest.approx((expected.statistic, expected.pvalue))
    metrics, spearman = found("regression", truth, scores), stats.spearmanr(truth, scores.astype(np.float32))
    assert metrics["sp_statistic"] == pytest.approx(spearman.statistic)
    assert metrics["sp_pvalue"] == pytest.approx(spearman.pvalue)


def test_macro_averages_are_scikit_learns():
    metrics, predicted = found("multi_class", TRUTH, SCORES), SCORES.argmax(1)
    macro = {"average": "macro", "zero_division": 0.0}
    assert metrics["prec"] == pytest.approx(sklearn.precision_score(TRUTH, predicted, **macro))
    assert metrics["f1"] == pytest.approx(sklearn.f1_score(TRUTH, predicted, **macro))
    assert metrics["mcc"] == pytest.approx(sklearn.matthews_corrcoef(TRUTH, predicted))


def test_sensitivity_is_that_of_the_classes_of_the_truth():
    """LucaOneTasks takes the first rows of the confusion matrix: nan where class 1 is predicted but does not occur."""
    truth, scores = [0, 0, 2, 2], np.eye(3)[[0, 1, 2, 2]]
    assert found("multi_class", truth, scores)["sn"] == 0.75
    assert math.isnan(found("multi_class", truth, scores, exact=True)["sn"])


def test_a_constant_prediction_has_a_correlation_of_zero():
    """LucaOneTasks leaves the correlation out, so that no epoch can be chosen by it."""
    metrics = found("binary_class", [0, 1, 1], [0.2, 0.2, 0.2])
    assert (metrics["mcc"], metrics["sn"], metrics["sp"]) == (0, 0, 1)
    assert "mcc" not in found("binary_class", [0, 1, 1], [0.2, 0.2, 0.2], exact=True)


def test_what_is_not_defined_is_nan():
    """LucaOneTasks leaves out the area under the curve if all labels are of one class."""
    one_class = found("binary_class", [1, 1], [0.9, 0.2])
    assert math.isnan(one_class["roc_auc"])
    assert math.isnan(one_class["sp"])
    assert math.isnan(found("regression", [1, 2, 3], [5, 5, 5])["sp_statistic"])


def test_all_thresholds_are_reached_by_equal_scores():
    """LucaOneTasks predicts from 0.5 on, but looks for the best threshold with scores above it."""
    truth, scores = [[1, 0]], [[0.5, 0.5 - 2**-20]]
    metrics = found("multi_label", truth, scores)
    assert (metrics["f1"], metrics["fmax"], metrics["tmax"]) == (1, 1, 0.5)
    assert found("multi_label", truth, scores, exact=True)["fmax"] == pytest.approx(2 / 3, abs=1e-6)
