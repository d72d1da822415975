"""With which of the models that this run trained does a task predict?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucaflow.downstream.scope import NOT_STATED, Scope
from lucaflow.files.json_files import read_json
from lucaflow.training.requested import RequestedTraining, best_of, chosen_by


@dataclass(frozen=True)
class ChosenHead:
    """A trained model. folder: of its converted files; sentence: what it was trained on; note: with every result."""

    folder: Path
    scope: Scope
    sentence: str
    note: str


def choose_head(training: RequestedTraining, records: Iterable[Path]) -> ChosenHead:
    """Return the best of trained models by dev. records: training.json of each."""
    found: dict[str, Any] = {path.parent.name: (path.parent, read_json(path)) for path in records}
    records_by_name = {name: record for name, (_, record) in found.items()}
    best = best_of(records_by_name)
    folder, record = found[best]
    rows = f"{record['rows']['train']:,} rows of {record['dataset']}"
    scope = Scope(rows, NOT_STATED, tuple(record["longest"]))
    sentence = scope.sentence(training.task, record["seq_types"])
    if len(found) > 1:
        sentence += (
            f" Of {len(found)} models, that on embeddings by {best} is the best by {chosen_by(records_by_name)} on dev."
        )
    note = "for demonstration" if training.model(best).is_demonstration else ""
    return ChosenHead(folder / "converted", scope, sentence, note)
