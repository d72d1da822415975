"""How large is the learning rate of each update, and how many updates are there?"""

from __future__ import annotations

from dataclasses import dataclass

from lucaflow.training.options import TrainingOptions


@dataclass(frozen=True)
class Schedule:
    """The learning rates of a training.

    updates: the number that is planned; warmup: updates until the rate is `peak`; 0: the rate falls after each epoch
    by the factor `decay` instead; late: whether the first update has the rate 0, as in LucaOneTasks.
    """

    peak: float
    updates: int
    warmup: int
    decay: float
    late: bool

    def rate(self, updates: int, epochs: int) -> float:
        """Return the learning rate after a number of updates and of whole epochs."""
        if not self.warmup:
            return self.peak * self.decay**epochs
        if updates < self.warmup:
            return self.peak * (updates + (not self.late)) / self.warmup
        return self.peak * max(0.0, (self.updates - updates) / max(1, self.updates - self.warmup))


def schedule_of(options: TrainingOptions, rows: int) -> Schedule:
    """Return the schedule of a training on a number of rows.

    `max_steps` ends a training after that many updates. In LucaOneTasks, it only makes the rate fall more slowly, and
    the number of updates is estimated.
    """
    batches = -(-rows // options.per_gpu_train_batch_size)
    group = options.gradient_accumulation_steps
    if options.is_exact:
        updates = max(options.num_train_epochs * (batches + group - 1) // group, options.max_steps)
    else:
        updates = options.num_train_epochs * -(-batches // group)
        updates = min(updates, options.max_steps) if options.max_steps > 0 else updates
    by_update = options.lr_update_strategy == "step" and options.warmup_steps > 0
    return Schedule(
        peak=options.learning_rate,
        updates=updates,
        warmup=options.warmup_steps if by_update else 0,
        decay=options.lr_decay_rate,
        late=options.is_exact,
    )
