"""What is minimised?

Letters in shapes: P what may have a label (rows of a table, or residues); C outputs. Targets are NaN where there is no
label.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lucaflow.training.options import TrainingOptions

# LucaOneTasks adds this to the number of labels, so that a batch without labels has the loss 0.
_TINY = 1e-12


@dataclass(frozen=True)
class Loss:
    """The loss of a batch: a sum, and what it is divided by to get the mean."""

    total: Tensor
    count: float

    @property
    def mean(self) -> Tensor:
        return self.total / (self.count + _TINY)


def loss_of(
    logits: Tensor, target: Tensor, owner: Tensor, options: TrainingOptions, weight: Tensor | None = None
) -> Loss:
    """Return the loss of a batch.

    logits: (P, C); target: (P,), for multi_label (P, C); owner: (P,), the row of the table that each belongs to;
    weight: (C,), of each class in multi_class.
    """
    labelled = ~target.isnan()
    known = target.masked_fill(~labelled, 0.0)
    found = element_losses(logits, known, options, weight).masked_fill(~labelled, 0.0)  # (P,) or (P, C)
    if options.reduction == "meansum":
        # Of residues with a single label, LucaOneTasks takes the sum of a batch.
        rows = labelled.any(1).sum() if labelled.ndim == 2 else labelled.any()
        return Loss(found.sum(), float(rows))
    if options.reduction == "meanmean":
        sequences = int(owner.max()) + 1
        counts = found.new_zeros(sequences).index_add(0, owner, labelled.view(len(owner), -1).sum(1).to(found.dtype))
        sums = found.new_zeros(sequences).index_add(0, owner, found.view(len(owner), -1).sum(1))
        return Loss((sums / (counts + _TINY)).sum(), float((counts > 0).sum()))
    return Loss(found.sum(), float(labelled.sum()))


def element_losses(logits: Tensor, target: Tensor, options: TrainingOptions, weight: Tensor | None) -> Tensor:
    """Return the loss of each label: (P,), for multi_label (P, C). Every target is a number."""
    focal = options.loss == "focal_loss"
    if options.task_type == "multi_class":
        classes = target.long()
        surprise = F.cross_entropy(logits, classes, reduction="none")  # (P,)
        if focal:
            surprise = _focused(1 - torch.exp(-surprise), options) * surprise
        return surprise if weight is None else weight[classes] * surprise
    values = logits if options.task_type == "multi_label" else logits[:, 0]
    if options.task_type == "regression":
        return (values - target) ** 2 if options.loss == "l2" else (values - target).abs()
    if not focal:
        positive = values.new_tensor(options.pos_weight)
        return F.binary_cross_entropy_with_logits(values, target, reduction="none", pos_weight=positive)
    probability = values.sigmoid()
    right = target * probability + (1 - target) * (1 - probability)
    alpha = options.focal_loss_alpha * target + (1 - options.focal_loss_alpha) * (1 - target)
    surprise = F.binary_cross_entropy_with_logits(values, target, reduction="none")  # without pos_weight
    return alpha * _focused(1 - right, options) * surprise


def _focused(wrong: Tensor, options: TrainingOptions) -> Tensor:
    """Return the factor of the focal loss. wrong: the probability that is not given to the truth.

    The derivative of a power below 1 is infinite at 0, which is left out.
    """
    return wrong.clamp_min(_TINY) ** options.focal_loss_gamma


def class_weight(options: TrainingOptions, targets: Tensor) -> Tensor | None:
    """Return the weight (C,) of each class, or None if all weigh the same.

    targets: of all training rows, any shape. Weights are divided by their mean over these rows, so that they change the
    share of each class, not the size of the loss. LucaOneTasks takes them as they are.
    """
    if not options.weight:
        return None
    stated = torch.tensor(options.weight)
    labelled = targets[~targets.isnan()].long()
    return stated if options.is_exact or not len(labelled) else stated / stated[labelled].mean()
