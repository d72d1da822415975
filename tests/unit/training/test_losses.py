import math

import pytest
import torch
import torch.nn.functional as F

from lucaflow.training.losses import class_weight, loss_of
from lucaflow.training.options import options_of

NAN = math.nan


def mean_loss(logits, target, owner=None, weighted_by=None, **stated):
    options = options_of(stated)
    logits, target = torch.tensor(logits), torch.tensor(target)
    weight = class_weight(options, torch.tensor(weighted_by)) if weighted_by else None
    owner = torch.arange(len(logits)) if owner is None else torch.tensor(owner)
    return float(loss_of(logits, target, owner, options, weight).mean)


def test_weights_change_the_share_of_a_class_not_the_size_of_the_loss():
    """LucaOneTasks divides by the number of rows: 3.466 for weights 1 and 9, two rows and equal logits."""
    stated = {"task_type": "multi_class", "weight": "1,9", "weighted_by": [0.0, 1.0]}
    logits, target = [[0.0, 0.0], [0.0, 0.0]], [0.0, 1.0]
    assert mean_loss(logits, target, **stated) == pytest.approx(math.log(2))
    assert mean_loss(logits, target, compatibility="lucaonetasks", **stated) == pytest.approx(3.466, abs=1e-3)
    first, second = mean_loss(logits, [0.0, NAN], **stated), mean_loss(logits, [NAN, 1.0], **stated)
    assert second == pytest.approx(9 * first)


@pytest.mark.parametrize("rows", [1, 3])
def test_focal_loss_of_several_classes_is_cross_entropy_where_it_is_wrong(rows):
    stated = {"task_type": "multi_class", "loss_type": "focal_loss", "focal_loss_gamma": 2.0}
    logits = torch.randn(rows, 4)
    target = torch.zeros(rows)
    probability = logits.softmax(1)[:, 0]
    expected = ((1 - probability) ** 2 * -probability.log()).mean()
    assert mean_loss(logits.tolist(), target.tolist(), **stated) == pytest.approx(float(expected), rel=1e-5)
    plain = mean_loss(logits.tolist(), target.tolist(), **{**stated, "focal_loss_gamma": 0.0})
    assert plain == pytest.approx(float(F.cross_entropy(logits, target.long())), rel=1e-5)


@pytest.mark.parametrize("task_type", ["binary_class", "multi_label", "multi_class"])
def test_focal_loss_has_finite_gradients_where_it_is_right(task_type):
    options = options_of({"task_type": task_type, "loss_type": "focal_loss", "focal_loss_gamma": 0.5})
    logits = torch.tensor([[200.0]] if task_type == "binary_class" else [[200.0, -200.0]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0]] if task_type == "multi_label" else [0.0 if task_type == "multi_class" else 1.0])
    loss_of(logits, target, torch.tensor([0]), options).mean.backward()
    assert torch.isfinite(logits.grad).all()


def test_what_has_no_label_is_in_no_loss():
    stated = {"task_type": "multi_label"}
    assert mean_loss([[1.0, 2.0], [5.0, 5.0]], [[1.0, 0.0], [NAN, NAN]], **stated) == pytest.approx(
        mean_loss([[1.0, 2.0]], [[1.0, 0.0]], **stated)
    )
    assert mean_loss([[1.0]], [NAN], task_type="regression") == 0


def test_meanmean_is_the_mean_of_the_sequences():
    stated = {"task_type": "regression", "task_level_type": "token_level"}
    logits, target, owner = [[1.0], [3.0], [5.0], [9.0]], [0.0, 0.0, 0.0, NAN], [0, 0, 1, 2]
    assert mean_loss(logits, target, owner, **stated) == pytest.approx((1 + 9 + 25) / 3)
    assert mean_loss(logits, target, owner, loss_reduction="meanmean", **stated) == pytest.approx((5 + 25) / 2)


def test_meansum_is_the_sum_over_the_classes():
    stated = {"task_type": "multi_label"}
    logits, target = [[1.0, 2.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]]
    assert mean_loss(logits, target, loss_reduction="meansum", **stated) == pytest.approx(
        2 * mean_loss(logits, target, **stated)
    )
