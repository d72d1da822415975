"""On which settings do the steps of a training depend, besides the files they read?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lucaflow.config.datasets import Dataset
from lucaflow.config.step_settings import file_identity
from lucaflow.records.task_folders import class_names_of, is_task_folder, why_unusable_source
from lucaflow.training.requested import RequestedTraining
from lucaflow.versions import DIVISION_VERSION, PREDICTION_VERSION, SIDE_BY_SIDE_VERSION, TRAINING_VERSION


def divide_settings(training: RequestedTraining, dataset: Dataset) -> dict[str, Any]:
    """Return the settings of the division into train, dev and test; it reads the records and their labels.

    dataset: if it is a folder of LucaOneTasks, the names of its classes count, also of those without a row.
    """
    readable = is_task_folder(dataset.path) and not why_unusable_source(dataset.path)
    names = class_names_of(dataset.path) if readable else ()
    named = {"classes": list(names)} if names else {}
    return {"algorithm": DIVISION_VERSION, **training.division_settings(), **named}


def train_settings(training: RequestedTraining, model: str, checkpoint_sha256: str) -> dict[str, Any]:
    """Return the settings of a training; it reads the division, which has the labels.

    model: the name of the encoder; checkpoint_sha256: of its network.
    """
    request = training.request(model)
    return {
        "algorithm": TRAINING_VERSION,
        "dataset": training.dataset,
        "options": training.options.settings(),
        "request": request.settings(),
        "fingerprint": fingerprint_of(training, model, checkpoint_sha256),
    }


def predict_settings(
    dataset: Dataset,
    training: RequestedTraining,
    models: Sequence[str],
    config: Mapping[str, Any],
    embeddings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings of predictions by a model that the same run trains; they read its files.

    models: the names of the encoders among which the best is chosen; embeddings: what identifies those that were made
    elsewhere.
    """
    of_type = {"multi_class": ("topk",), "regression": ()}.get(training.options.task_type, ("threshold",))
    return {
        "algorithm": PREDICTION_VERSION,
        "file": file_identity(dataset.path),
        "columns": dataset.columns.settings(),
        "training": [training.dataset, training.task],
        "wanted": {model: training.request(model).settings() for model in models},
        **{name: config["heads"][name] for name in of_type},
        **({"embeddings": dict(embeddings)} if embeddings else {}),
    }


def compare_settings(training: RequestedTraining) -> dict[str, Any]:
    """Return the settings of the comparison of all trained models; it reads their scores."""
    models = [model.name for model in training.models]
    return {"algorithm": SIDE_BY_SIDE_VERSION, "models": models, "metric": training.primary}


def fingerprint_of(training: RequestedTraining, model: str, checkpoint_sha256: str) -> str:
    """Return what identifies the embeddings that are trained on; a sequence that is cut has other options, too."""
    request = training.request(model)
    return request.options_of(request.limit).fingerprint(checkpoint_sha256)
