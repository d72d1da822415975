import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_trainings import Seen, embedding, example, small_data, small_head, small_options, train_small

from lucaflow.errors import TrainingError
from lucaflow.training.batches import Batches, pools_once
from lucaflow.training.evaluation import evaluate
from lucaflow.training.trainer import TrainingData

TASKS = ["binary_class", "multi_class", "multi_label", "regression"]


def same(first, second):
    """Return whether two trainings have the same weights to the bit."""
    return all(torch.equal(values, second[name]) for name, values in first.items())


@pytest.mark.parametrize("level", ["seq_level", "token_level"])
@pytest.mark.parametrize("task_type", TASKS)
def test_what_is_in_the_numbers_is_learnt(task_type, level):
    options = small_options(task_type=task_type, task_level_type=level, num_train_epochs=9, learning_rate=0.05)
    trained = train_small(options)
    losses = [record.dev["loss"] for record in trained.records]
    assert min(losses) < 0.6 * losses[0]
    assert trained.best.dev == {**trained.dev.metrics}


@pytest.mark.parametrize("model_type", ["luca_base", "lucappi", "lucappi2"])
def test_every_network_learns(model_type):
    options = small_options(
        model_type=model_type, matrix_encoder=True, matrix_pooling_type="value_attention", num_train_epochs=10
    )
    losses = [record.train_loss for record in train_small(options).records]
    assert losses[-1] < 0.75 * losses[0]


def test_the_last_batch_counts_by_its_rows():
    """In LucaOneTasks, an update of fewer batches is weaker, and neither clipped nor counted in the schedule."""
    stated = {"dropout_prob": 0.0, "learning_rate": 0.1, "num_train_epochs": 1, "max_grad_norm": 1e-3}
    seen, others = Seen(), Seen()
    options = small_options(per_gpu_train_batch_size=3, gradient_accumulation_steps=2, **stated)
    joined = train_small(options, observer=seen)
    alone = train_small(small_options(per_gpu_train_batch_size=6, **stated), observer=others)
    assert [len(batch) for batch in seen.batches] == [3, 3, 3, 3, 2]
    np.testing.assert_allclose(seen.norms, others.norms, rtol=1e-5)
    for name, values in joined.final.items():
        torch.testing.assert_close(values, alone.final[name])
    exact = Seen()
    train_small(replace(options, compatibility="lucaonetasks", buffer_size=48), observer=exact)
    assert [norm is None for norm in exact.norms] == [False, False, True]


def test_an_update_is_that_of_the_mean_of_its_rows():
    stated = {"dropout_prob": 0.0, "num_train_epochs": 1}
    once, twice = Seen(), Seen()
    data = small_data(small_options(), train_rows=4)
    train_small(small_options(**stated), data, observer=once)
    doubled = replace(data, train=data.train * 2)
    train_small(small_options(per_gpu_train_batch_size=8, **stated), doubled, observer=twice)
    np.testing.assert_allclose(once.norms, twice.norms, rtol=1e-5)


@pytest.mark.parametrize("compatibility", ["corrected", "lucaonetasks"])
def test_every_update_drops_other_numbers(compatibility):
    seen = Seen()
    options = small_options(compatibility=compatibility, dropout_prob=0.5, learning_rate=1e-12)
    train_small(options, small_data(options, train_rows=1), observer=seen)
    assert len(set(seen.losses)) == 3


@pytest.mark.parametrize("level", ["seq_level", "token_level"])
def test_an_evaluation_does_not_depend_on_its_batches(level):
    """LucaOneTasks' loss is the mean of batches, and its metrics of residues count padding."""
    found = []
    for size in (2, 3, 16):
        options = small_options(
            task_type="multi_label", task_level_type=level, per_gpu_eval_batch_size=size, matrix_encoder=True
        )
        head, data = small_head(options), small_data(options)
        batches = Batches(head, options, embedding, torch.device("cpu"), [set()])
        found.append(evaluate(head, batches, data.dev, options, None))
    for other in found[1:]:
        assert other.metrics == pytest.approx(found[0].metrics)
        for mine, expected in zip(other.logits, found[0].logits, strict=True):
            np.testing.assert_allclose(mine, expected, atol=1e-6)


def test_a_batch_without_labels_removes_no_others():
    """In LucaOneTasks, it takes the place of everything before it."""
    options = small_options(per_gpu_eval_batch_size=3)
    data = small_data(options)
    unlabelled = replace(data.dev[0], target=np.array(np.nan, dtype=np.float32))
    head = small_head(options)
    batches = Batches(head, options, embedding, torch.device("cpu"), [{each.sequences[0] for each in data.dev}])
    found = evaluate(head, batches, (*data.dev[:3], *[unlabelled] * 3), options, None)
    assert found.metrics == evaluate(head, batches, data.dev[:3], options, None).metrics


def test_the_seed_seeds_everything():
    """LucaOneTasks' seed leaves the initial weights to chance, and does not change the first epoch."""
    stated = {"matrix_encoder": True, "matrix_pooling_type": "value_attention", "num_train_epochs": 1}
    first, again, other = Seen(), Seen(), Seen()
    one = train_small(small_options(seed=1, **stated), observer=first)
    torch.manual_seed(99)
    same_one = train_small(small_options(seed=1, **stated), observer=again)
    another = train_small(small_options(seed=2, **stated), observer=other)
    assert same(one.final, same_one.final)
    assert first.batches == again.batches != other.batches
    assert not same(one.final, another.final)


def test_the_test_set_is_looked_at_once():
    """LucaOneTasks evaluates it after every epoch."""
    seen, exact = Seen(), Seen()
    trained = train_small(small_options(), observer=seen)
    assert seen.evaluated == [("dev", epoch, 7) for epoch in (1, 2, 3)]
    assert all(record.test == {} for record in trained.records)
    assert len(trained.test.logits) == 6
    train_small(small_options(compatibility="lucaonetasks"), observer=exact)
    assert ("test", 3, 6) in exact.evaluated


def test_the_best_epoch_is_kept():
    options = small_options(learning_rate=0.5, num_train_epochs=6, best_metric_type="loss")
    trained = train_small(options)
    losses = [record.dev["loss"] for record in trained.records]
    assert trained.best.epoch == losses.index(min(losses)) + 1 < 6
    assert not same(trained.head.state_dict(), trained.final)
    assert trained.dev.metrics["loss"] == pytest.approx(min(losses))


def test_updates_are_limited():
    """LucaOneTasks makes all of them if the limit is lower."""
    seen = Seen()
    trained = train_small(small_options(max_steps=6), observer=seen)
    assert len(seen.rates) == 6
    assert [record.step for record in trained.records] == [4, 6]


@pytest.mark.parametrize("pooling", ["none", "avg", "max", "sum", "first", "last"])
def test_vectors_that_are_pooled_once_train_the_same(pooling, monkeypatch):
    reads = []

    def counted(key):
        reads.append(key)
        return embedding(key)

    options = small_options(matrix_pooling_type=pooling, model_type="lucappi2", matrix_fc_size=5)
    once = train_small(options, embedding_of=counted)
    assert sorted(reads) == sorted(set(reads))
    monkeypatch.setattr("lucaflow.training.batches.pools_once", lambda *_: False)
    rows = train_small(options, embedding_of=counted)
    assert len(reads) > len(set(reads))
    for name, values in once.final.items():
        torch.testing.assert_close(values, rows.final[name], atol=1e-5, rtol=1e-4)


def test_only_what_stays_the_same_is_pooled_once():
    assert pools_once(small_head(small_options()), small_options())
    for stated in (
        {"matrix_pooling_type": "value_attention"},
        {"matrix_encoder": True},
        {"task_level_type": "token_level"},
    ):
        options = small_options(**stated)
        assert not pools_once(small_head(options), options)


def test_a_warm_up_that_does_not_end_is_told(caplog):
    train_small(small_options(warmup_steps=12))
    assert "warmup_steps is 12, but there are 12 updates: learning_rate never reaches 0.01." in caplog.text


def test_a_part_without_labels_is_refused():
    options = small_options()
    data = small_data(options)
    with pytest.raises(TrainingError, match="the dev part has 0 rows, none of them with a label"):
        train_small(options, TrainingData(data.train, (), data.test))


def test_a_loss_that_is_no_number_ends_the_training():
    options = small_options()
    endless = TrainingData(*(tuple(example(number, options) for number in part) for part in ([1, 2], [3], [4])))
    with pytest.raises(TrainingError, match=re.escape("the loss is nan in epoch 1, batch 1, expected a number")):
        train_small(options, endless, embedding_of=lambda key: embedding(key) * np.float32(np.inf))


def test_no_defined_metric_ends_lucaonetasks_training():
    options = small_options(task_type="regression", compatibility="lucaonetasks", num_train_epochs=1)
    data = small_data(options)
    constant = tuple(replace(each, target=np.array(1, dtype=np.float32)) for each in data.dev)
    with pytest.raises(TrainingError, match="sp_statistic is not defined for the dev part in any of the 1 epochs"):
        train_small(options, TrainingData(data.train, constant, data.test))
