"""How do gradients change the weights?"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lucaflow.downstream.networks import Head
from lucaflow.training.options import TrainingOptions
from lucaflow.training.state import of_kind, with_kind

# LucaOneTasks' values for a beta of 0.
_BETAS = (0.9, 0.98)
_MOMENTS = ("exp_avg", "exp_avg_sq")


def parameters_of(head: Head) -> dict[str, nn.Parameter]:
    """Return the trained parameters by name."""
    return dict(head.named_parameters())


def optimiser_of(head: Head, options: TrainingOptions) -> torch.optim.AdamW:
    """Return AdamW for a network. Biases and the weights of layer norms do not decay."""
    spared = {
        f"{prefix}.{name}"
        for prefix, module in head.named_modules()
        for name, _ in module.named_parameters(recurse=False)
        if name == "bias" or isinstance(module, nn.LayerNorm)
    }
    groups = [
        {
            "params": [each for name, each in parameters_of(head).items() if (name in spared) == spare],
            "weight_decay": 0.0 if spare else options.weight_decay,
        }
        for spare in (False, True)
    ]
    betas = (options.beta1, options.beta2)
    if options.is_exact:
        betas = (betas[0] or _BETAS[0], betas[1] or _BETAS[1])
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=betas, eps=options.adam_epsilon, fused=True)


def update(
    head: Head, optimiser: torch.optim.AdamW, rate: float, count: float | None, largest_norm: float | None
) -> float | None:
    """Change the weights by their gradients, which are removed; return the total norm of the gradients.

    count: what the gradients are divided by first; largest_norm: to which they are scaled down; if it is None they are
    not, and their norm is not computed.
    """
    parameters = list(head.parameters())
    if count:
        for each in parameters:
            if each.grad is not None:
                each.grad.div_(count)
    norm = None
    if largest_norm is not None:
        norm = float(nn.utils.clip_grad_norm_(parameters, largest_norm))
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    optimiser.zero_grad()
    return norm


def moments_of(head: Head, optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    """Return the optimiser's moments by their names in a state of the training; none before the first update."""
    found: dict[str, Tensor] = {}
    for kind in _MOMENTS:
        moments = {
            name: optimiser.state[each][kind] for name, each in parameters_of(head).items() if each in optimiser.state
        }
        found |= with_kind(kind, moments)
    return found


def restore_moments(head: Head, optimiser: torch.optim.AdamW, tensors: Mapping[str, Tensor], updates: int) -> None:
    """Give the optimiser the moments that a training had after a number of updates."""
    first, second = (of_kind(kind, tensors) for kind in _MOMENTS)
    for name, each in parameters_of(head).items():
        if name in first:
            optimiser.state[each] = {
                "step": torch.tensor(float(updates), device=each.device),
                "exp_avg": first[name].to(each.device, copy=True),
                "exp_avg_sq": second[name].to(each.device, copy=True),
            }
