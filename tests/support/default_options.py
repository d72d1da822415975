"""Options of embedding as the configuration's defaults have them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workflow_runs import ROOT

from lucaflow.config.datasets import EmbeddingOptions, resolve
from lucaflow.schemas import read_yaml

DEFAULTS = EmbeddingOptions.from_config(resolve({}, read_yaml(ROOT / "config/schemas/config.schema.yaml"))["embedding"])


def options(**changed: Any) -> EmbeddingOptions:
    """Return the defaults but for what is changed."""
    return replace(DEFAULTS, **changed)
