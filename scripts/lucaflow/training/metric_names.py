"""Which metric of a report answers to LucaOneTasks' name of the one that chooses the epoch?"""

from __future__ import annotations

from lucaflow.errors import ConfigError, quoted

LOWER_IS_BETTER = {"mean absolute error", "root mean squared error"}
# Names of LucaOneTasks, by the types of task.
_CLASSES = {"acc": "accuracy", "loss": "accuracy", "mcc": "Matthews correlation", "mcc2": "Matthews correlation"}
_PRIMARY = {
    "binary_class": {
        **_CLASSES, "f1": "F1", "prec": "precision", "recall": "recall", "sn": "recall", "roc_auc": "ROC AUC",
        "pr_auc": "average precision",
    },
    "multi_class": {**_CLASSES, "f1": "macro F1", "recall": "balanced accuracy", "sn": "balanced accuracy"},
    "multi_label": {"f1": "micro F1", "loss": "micro F1", "jaccard": "Jaccard index"},
    "regression": {
        "mae": "mean absolute error", "mse": "root mean squared error", "loss": "root mean squared error", "r2": "R2",
        "sp_statistic": "Spearman correlation", "ps_statistic": "Pearson correlation",
    },
}  # fmt: skip


def primary_metric(task_type: str, best_metric_type: str) -> str:
    """Return the metric of a report that answers to LucaOneTasks' name of the one that chooses the epoch.

    Raises ConfigError if no metric of the report does.
    """
    known = _PRIMARY[task_type]
    if best_metric_type not in known:
        raise ConfigError(
            f"best_metric_type is {quoted(best_metric_type)}, for which the report of a {task_type} task has no metric "
            f"with an interval. Choose one of {', '.join(known)}."
        )
    return known[best_metric_type]
