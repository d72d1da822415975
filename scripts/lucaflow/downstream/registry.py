"""Which downstream models can be fetched, and from where: the table resources/tasks.tsv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.registry import Place, place_of, read_rows
from lucaflow.downstream.lucaonetasks import Task
from lucaflow.downstream.scope import Scope, scope_of


@dataclass(frozen=True)
class PublishedTask:
    """A downstream model that is packaged or can be fetched. scope: what it was trained on."""

    task: Task
    place: Place
    scope: Scope


def read_tasks(path: Path, schema: Mapping[str, Any]) -> dict[tuple[str, str], PublishedTask]:
    """Return the downstream models in resources/tasks.tsv, by the name of their task and their source."""
    found = {}
    for row in read_rows(path, schema):
        names = ("dataset_type", "task_type", "model_type", "time_str", "step")
        task = Task(row["task"], *(row[name] for name in names))
        found[task.name, row["source"]] = PublishedTask(task, place_of(f"task {task.name}", row), scope_of(row))
    return found
