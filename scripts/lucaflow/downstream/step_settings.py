"""Which settings the steps of downstream models depend on, besides the files they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import Dataset
from lucaflow.config.step_settings import file_identity, sharding_settings
from lucaflow.downstream.inputs import MATRIX
from lucaflow.downstream.models import TrainedHead
from lucaflow.downstream.required_embeddings import EmbeddingRequest, OwnEmbeddings
from lucaflow.downstream.scope import Scope
from lucaflow.files.json_files import as_json
from lucaflow.versions import EMBEDDING_VERSION, PREDICTION_VERSION


def heads_settings(
    requests: Iterable[EmbeddingRequest],
    checkpoints: Mapping[Model, str],
    own_embeddings: Iterable[OwnEmbeddings],
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the settings on which the embeddings for a dataset's downstream models depend, besides its sequences.

    checkpoints: SHA-256 of the checkpoints of the models; own_embeddings: those that the dataset has anyway.
    """
    return {
        **sharding_settings(config),
        "embedding_algorithm": EMBEDDING_VERSION,
        "wanted": sorted((request.settings() for request in set(requests)), key=as_json),
        "checkpoints": {model.name: digest for model, digest in checkpoints.items()},
        "own": [{"model": asdict(own.model), "options": own.options.effective()} for own in own_embeddings],
    }


def predict_settings(
    dataset: Dataset,
    head: TrainedHead,
    scope: Scope,
    request: EmbeddingRequest,
    config: Mapping[str, Any],
    embeddings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings that a dataset's predictions depend on, besides its records and the embeddings of LucaFlow.

    embeddings: what identifies those that were made elsewhere, if the models read these.
    """
    used = {
        "threshold": head.task.task_type in ("binary_class", "multi_label"),
        "topk": head.task.task_type == "multi_class",
    }
    settings = config["heads"]
    return {
        "algorithm": PREDICTION_VERSION,
        # The columns of a table are copied to the predictions.
        "file": file_identity(dataset.path),
        "columns": dataset.columns.settings(),
        "head_sha256": head.sha256,
        "structure": asdict(head.structure),
        "reading": _reading(head),
        "labels": list(head.labels),
        "scope": asdict(scope),
        "wanted": request.settings(),
        "rows_read": head.reading.rows_read(settings["llm_truncation_seq_length"]),
        **{name: settings[name] for name, matters in used.items() if matters},
        **({"embeddings": dict(embeddings)} if embeddings else {}),
    }


def _reading(head: TrainedHead) -> dict[str, Any]:
    """Return how a model reads embeddings. Results of before the last two fields stay."""
    later = {"as_trained": False, "output": MATRIX}
    return {key: value for key, value in asdict(head.reading).items() if key not in later or value != later[key]}
