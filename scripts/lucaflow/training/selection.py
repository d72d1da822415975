"""Which epoch is kept, and when does a training end early?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lucaflow.training.options import TrainingOptions

# LucaOneTasks begins with this value, which a metric must exceed.
_LUCAONETASKS_START = -1.0
_MINIMISED = ("loss", "mse", "mae")


def is_minimised(options: TrainingOptions) -> bool:
    """Return whether less is better. LucaOneTasks minimises metrics whose name contains `loss`, which it has not."""
    return options.best_metric in _MINIMISED and not options.is_exact


def value_of(metrics: Mapping[str, Any], options: TrainingOptions) -> float:
    """Return the metric of a dev set by which an epoch is chosen, so that more is better; NaN if it is not defined."""
    value = float(metrics.get(options.best_metric, math.nan))
    return -value if is_minimised(options) else value


def is_better(value: float, earlier: Sequence[float], options: TrainingOptions) -> bool:
    """Return whether an epoch is better than all earlier ones. Of equal epochs the first is kept.

    The first epoch is kept until one with a defined metric comes. In LucaOneTasks, a metric must be above -1.
    """
    defined = [other for other in earlier if not math.isnan(other)]
    if options.is_exact:
        return value > max([_LUCAONETASKS_START, *defined])
    return not earlier or (not math.isnan(value) and (not defined or value > max(defined)))


def ends_early(values: Sequence[float], options: TrainingOptions) -> bool:
    """Return whether the best of the epochs so far is `early_stop_epoch` epochs ago, it included."""
    patience = options.early_stop_epoch
    known = [-math.inf if math.isnan(value) else value for value in values]
    return patience > 1 and bool(known) and len(known) - known.index(max(known)) >= patience
