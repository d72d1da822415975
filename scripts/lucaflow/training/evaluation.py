"""What does a network predict for examples, and how good is that?

Letters in shapes: n: labels of all examples; C: outputs; k: rows of a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lucaflow.downstream.networks import Head
from lucaflow.training.batches import Batches, Example
from lucaflow.training.forward import outputs
from lucaflow.training.losses import loss_of
from lucaflow.training.metrics import Metrics, metrics_of
from lucaflow.training.options import TrainingOptions


@dataclass(frozen=True)
class Evaluation:
    """The predictions of a network.

    metrics: with `loss`, the mean of all labels (`avg_loss` and `total_loss` of batches in LucaOneTasks); logits: of
    each example, (1, C) or, of residues, (k, C), k with the rows before and after them.
    """

    metrics: Metrics
    logits: tuple[np.ndarray, ...]


@torch.no_grad()
def evaluate(
    head: Head, batches: Batches, examples: Sequence[Example], options: TrainingOptions, weight: Tensor | None
) -> Evaluation:
    """Predict examples, and compare with their labels. weight: (C,), of each class in the loss."""
    size = options.per_gpu_eval_batch_size
    logits: list[np.ndarray] = []
    truths, scores, losses, counts = [], [], [], []
    for start in range(0, len(examples), size):
        batch = batches.of(examples[start : start + size])
        found = outputs(head, batch.sides, options.is_token_level)  # (P, C)
        loss = loss_of(found, batch.target, batch.owner, options, weight)
        losses.append(float(loss.mean) if options.is_exact else float(loss.total))
        counts.append(loss.count)
        logits += [part.cpu().numpy() for part in torch.split(found, torch.bincount(batch.owner).tolist())]
        labelled = ~batch.target.isnan()
        labelled = labelled.any(1) if labelled.ndim == 2 else labelled
        truths.append(batch.target[labelled].cpu().numpy())
        scores.append(head.predictions(found)[labelled].cpu().numpy())
    truth, score = np.concatenate(truths), np.concatenate(scores)
    if options.task_type in ("binary_class", "regression"):
        score = score[:, 0]
    metrics = metrics_of(options.task_type, truth, score, options.is_exact)
    return Evaluation({**_losses(losses, counts, options.is_exact), **metrics}, tuple(logits))


def _losses(losses: Sequence[float], counts: Sequence[float], exact: bool) -> Metrics:
    """Return the losses of an evaluation: of LucaOneTasks, the mean of the batches, whatever the rows of each."""
    if exact:
        return {"avg_loss": round(sum(losses) / len(losses), 6), "total_loss": round(sum(losses), 6)}
    return {"loss": sum(losses) / sum(counts) if sum(counts) else float("nan")}
