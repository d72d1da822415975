"""Orders, learning rates, and which epoch is kept."""

import math

import pytest
from small_trainings import small_options

from lucaflow.training.order import batches_of_epoch
from lucaflow.training.schedule import schedule_of
from lucaflow.training.selection import ends_early, is_better, value_of

NAN = math.nan


def test_an_epoch_has_all_rows_in_an_order_of_its_own():
    """LucaOneTasks' first epoch has the same order whatever the seed is."""
    first = batches_of_epoch(10, 4, seed=1, epoch=0)
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(row for batch in first for row in batch) == list(range(10))
    assert first == batches_of_epoch(10, 4, seed=1, epoch=0)
    assert len({str(batches_of_epoch(10, 4, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_the_first_update_has_a_learning_rate():
    """LucaOneTasks' first one is 0."""
    schedule = schedule_of(small_options(warmup_steps=4, num_train_epochs=5), rows=8)
    assert schedule.updates == 10
    rates = [schedule.rate(updates, 0) for updates in range(10)]
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, 0.01] + [0.01 * (10 - step) / 6 for step in range(4, 10)])
    exact = schedule_of(small_options(warmup_steps=4, compatibility="lucaonetasks"), rows=8)
    assert exact.rate(0, 0) == 0


def test_updates_are_those_that_are_made():
    """LucaOneTasks estimates 7 for 3 epochs of 4 batches, two for each update; there are 6."""
    stated = {"gradient_accumulation_steps": 2, "num_train_epochs": 3}
    assert schedule_of(small_options(**stated), rows=16).updates == 6
    assert schedule_of(small_options(compatibility="lucaonetasks", **stated), rows=16).updates == 7
    assert schedule_of(small_options(max_steps=5, **stated), rows=16).updates == 5


@pytest.mark.parametrize("metric", ["loss", "mse", "mae"])
def test_errors_are_minimised(metric):
    """LucaOneTasks keeps the worst epoch: the first of dev mse 3.74, 1.54, 1.49, 1.81, 1.86."""
    stated = {"task_type": "regression", "best_metric_type": metric}
    assert kept([3.74, 1.54, 1.49, 1.81, 1.86], **stated) == 2
    if metric != "loss":
        assert kept([3.74, 1.54, 1.49, 1.81, 1.86], compatibility="lucaonetasks", **stated) == 0


def kept(dev, **stated):
    """Return the epoch that is kept, from 0 on."""
    options, values, best = small_options(**stated), [], None
    for epoch, number in enumerate(dev):
        value = value_of({options.best_metric: number}, options)
        best = epoch if is_better(value, values, options) else best
        values.append(value)
    return best


def test_an_undefined_metric_keeps_no_epoch_but_the_first():
    """With LucaOneTasks a training whose metric is never defined ends with an error after all of its epochs."""
    stated = {"task_type": "regression", "best_metric_type": "sp_statistic"}
    assert kept([NAN, NAN], **stated) == 0
    assert kept([NAN, -0.5, NAN, -0.6], **stated) == 1
    assert kept([-1.5, -1.2], task_type="regression", best_metric_type="r2") == 1
    assert kept([NAN, NAN], compatibility="lucaonetasks", **stated) is None


def test_of_equal_epochs_the_first_is_kept():
    assert kept([0.5, 0.8, 0.8]) == 1


@pytest.mark.parametrize(
    ("values", "over"),
    [([1, 2], False), ([1, 2, 2], False), ([1, 2, 2, 1], True), ([3, 2, 1], True), ([3, NAN, NAN], True), ([], False)],
)
def test_a_training_ends_when_it_gets_no_better(values, over):
    assert ends_early(values, small_options(early_stop_epoch=3)) == over
    assert not ends_early(values, small_options())
