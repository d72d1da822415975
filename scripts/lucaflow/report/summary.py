"""The table at the end of a run: a row for each dataset."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lucaflow.checkpoints.known_models import KnownModel
from lucaflow.checkpoints.model import named_model
from lucaflow.errors import DAMAGE, damage
from lucaflow.files.json_files import DIGEST_LENGTH, parse_json, read_json
from lucaflow.records.counts import Counts
from lucaflow.report.costs import costs_of_embedding

if TYPE_CHECKING:  # only functions that make tables load it: rules and embedding jobs need the others
    import pandas as pd

logger = logging.getLogger(__name__)

_NOT_EMBEDDED = dict.fromkeys(
    (
        *("computed_sequences", "kept_sequences", "truncated", "windowed"),
        *("seconds", "residues_per_second", "memory_mb", "embeddings_mb", "shards_mb", "embeddings"),
    )
)
# Columns that the terminal shows only if they have values other than 0, and never.
_SELDOM = ("duplicates", "dropped", "changed_records", "kept_sequences", "truncated", "windowed")
_NEVER = ("memory_mb", "embeddings_mb", "shards_mb")
_ON_DISK = "MB on disk"
_SHORT_NAMES = {
    "changed_records": "changed",
    "distinct_sequences": "distinct",
    "computed_sequences": "computed",
    "kept_sequences": "kept",
    "residues_per_second": "residues/s",
}


_LEGEND = """
computed: sequences embedded when embeddings.h5 was last made; kept: those embedded before. seconds: of all embedding
jobs so far, with starting Python and loading the network; residues/s: of the network alone.
"""


def summarise(
    counts: Mapping[str, Counts],
    verified: Mapping[str, Sequence[Path]],
    predicted: Iterable[Path],
    working: Path,
    trained: Iterable[Path] = (),
) -> pd.DataFrame:
    """Return a row for each dataset and model: the counts of its records, and the time and space of its embedding.

    A dataset that is not embedded has a row, too. counts: by dataset; verified: each verified.json, by dataset;
    predicted: the <task>.json of predictions; working: the folder with logs and benchmarks; trained: training.json of
    each model that the run trained.
    """
    import pandas as pd

    predictions: dict[str, list[str]] = {}
    for path in predicted:
        about = read_json(path)
        notes = [f"{about['failed']} failed"] * bool(about["failed"]) + [about["note"]] * bool(about["note"])
        notes += about["warnings"]
        noted = f" ({', '.join(notes)})" if notes else ""
        predictions.setdefault(about["dataset"], []).append(f"{about['predicted']} of {about['task']}{noted}")
    trainings: dict[str, list[str]] = {}
    for path in trained:
        dataset, text = described_training(path)
        trainings.setdefault(dataset, []).append(text)
    rows = []
    for dataset, found in counts.items():
        made: dict[str, Any] = {"predictions": "; ".join(predictions.get(dataset, []))}
        # Columns that a table has only if there are notes, or trainings: other tables stay as they are.
        made |= {"notes": "; ".join(found.notes)} if any(each.notes for each in counts.values()) else {}
        made |= {"trainings": "; ".join(trainings.get(dataset, []))} if trainings else {}
        for results in [_embedding(path, working) for path in verified.get(dataset, [])] or [_NOT_EMBEDDED]:
            rows.append({"dataset": dataset, "model": "", **_outcomes(found), **results, **made})
            # The same for all models of a dataset.
            made = dict.fromkeys(made, "")
    return pd.DataFrame(rows).convert_dtypes()


def described_training(path: Path) -> tuple[str, str]:
    """Return the dataset of a training, and how good its model is on test, in words. path: its training.json."""
    import pandas as pd

    about = read_json(path)
    table = pd.read_csv(path.with_name("metrics.tsv"), sep="\t")
    own = (table["split"] == "test") & (table["model"] == about["model"]) & (table["metric"] == about["metric"])
    value, low, high = table.loc[own, ["value", "low", "high"]].iloc[0].tolist()
    ends = "" if pd.isna(low) else f" ({low:.3g} to {high:.3g})"
    of = "unknown" if pd.isna(value) else f"{value:.3g}{ends}"
    return about["dataset"], f"{about['task']} by {about['model']}: {about['metric']} {of} on test"


def _outcomes(counts: Counts) -> dict[str, int]:
    return {
        "records": counts.status.total(),
        "duplicates": counts.status["duplicate"],
        "dropped": counts.status["dropped"],
        "changed_records": counts.records_changed,
        "distinct_sequences": counts.distinct,
        "residues": counts.residues,
    }


def _embedding(path: Path, working: Path) -> dict[str, Any]:
    report = read_json(path)
    sizes = {name: entry["bytes"] for name, entry in report["files"].items()}
    shards = [Path(name) for name in sizes if name.startswith("shards/")]
    jobs = Path("embed", path.parent.parent.name, path.parent.name, report["fingerprint"][:DIGEST_LENGTH])
    costs = costs_of_embedding(working, jobs, [shard.stem for shard in shards])
    expected = _preflight(path.with_name("preflight.json"))
    return {
        "model": path.parent.name,
        "computed_sequences": expected.get("to_compute"),
        "kept_sequences": expected.get("kept"),
        "truncated": report["truncated_sequences"],
        "windowed": report["windowed_sequences"],
        "seconds": costs.seconds,
        "residues_per_second": costs.residues_per_second,
        "memory_mb": costs.memory_mb,
        "embeddings_mb": round(sizes["embeddings.h5"] / 1e6, 2),
        "shards_mb": round(sum(sizes[shard.as_posix()] for shard in shards) / 1e6, 2),
        "embeddings": str(path.with_name("embeddings.h5")),
    }


def _preflight(path: Path) -> dict[str, Any]:
    """Return the estimate of a dataset; nothing if there is none or, with a warning, if it is damaged."""
    try:
        return dict(parse_json(path)) if path.is_file() else {}
    except DAMAGE as error:
        logger.warning("%s is damaged (%s): computed and kept sequences are left out.", path, damage(error))
        return {}


def as_text(
    table: Path,
    scopes: Iterable[str] = (),
    reports: Iterable[str] = (),
    scores: Iterable[str] = (),
    overview: Path | None = None,
) -> str:
    """Return the table of a run for the terminal, with the folders of its results. A damaged table is named instead.

    scopes: the training data of the model of each task, in words; reports: the pages of the models that the run
    trained; scores: the folders of scores; overview: the page to read first.
    """
    try:
        return _as_text(table, scopes, reports, scores) + _first(overview)
    except DAMAGE as error:
        what = f"{table} is damaged ({damage(error)}): the table of the run is left out"
        return f"\n{what}. Delete the file and run again to have it.\n"


def _first(overview: Path | None) -> str:
    return f"\nStart with {overview}: key figures, pictures, and what to cite.\n" if overview else ""


def _for_terminal(rows: pd.DataFrame) -> str:
    """Return the table without columns that say nothing, and with one column for all space on the disk."""
    if {"embeddings_mb", "shards_mb"} <= {*rows}:
        parts = zip(rows["embeddings_mb"], rows["shards_mb"], strict=True)
        rows[_ON_DISK] = [f"{float(first) + float(second):.2f}" if first else "" for first, second in parts]
    silent = [name for name in _SELDOM if name in rows and set(rows[name]) <= {"0", ""}]
    shown = rows.drop(columns=[*silent, *(name for name in _NEVER if name in rows)])
    text: str = shown.rename(columns=_SHORT_NAMES).replace("", "-").to_string(index=False)
    return text


def _demonstrations(names: Iterable[str]) -> list[KnownModel]:
    """Return the models for demonstration among the names of models."""
    models = (named_model(name) for name in dict.fromkeys(names))
    return [model.known for model in models if model and model.known and model.is_demonstration]


def _as_text(table: Path, scopes: Iterable[str], reports: Iterable[str], scores: Iterable[str]) -> str:
    import pandas as pd

    rows = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)
    embedded = [Path(path).parent for path in rows.pop("embeddings") if path]
    folders = "\n".join(f"  {folder}/" for folder in embedded)
    pages = [folder / "figures/map.html" for folder in embedded]
    made = zip(rows["dataset"], rows.pop("predictions"), strict=True)
    predictions = "\n".join(f"  results/{dataset}/predictions/: {done}" for dataset, done in made if done)
    measured: Iterable[str] = rows.pop("trainings") if "trainings" in rows else ()
    notes = zip(rows["dataset"], rows.pop("notes"), strict=True) if "notes" in rows else ()
    remarks = "\n".join(f"  {dataset}: {text}" for dataset, text in notes if text)
    text = _for_terminal(rows)
    warning = "".join(f"\n`{known.version}` is {known.scope}.\n" for known in _demonstrations(rows["model"]))
    maps = " and a map to search (figures/map.html)" if any(path.is_file() for path in pages) else ""
    where = f"\nEmbeddings (embeddings.h5){maps} are in:\n{folders}\n" if folders else ""
    where = (f"\nHow the inputs were read:\n{remarks}\n" if remarks else "") + where
    trained = "".join(f"  {scope}\n" for scope in scopes)
    where += f"\nPredictions are in:\n{predictions}\n{trained}" if predictions else ""
    folders_of_scores = "".join(f"  {folder}/\n" for folder in scores)
    where += f"\nScores are in:\n{folders_of_scores}" if folders_of_scores else ""
    pages_of_trained = "".join(f"  {page}\n" for page in reports)
    said = "".join(f"  {text}\n" for text in measured if text)
    where += f"\nHow good the trained models are:\n{said}{pages_of_trained}" if pages_of_trained else ""
    return f"\n{text}\n{_LEGEND if folders else ''}{warning}{where}"


def validation(counts: Mapping[str, Counts], verified: Mapping[str, Sequence[Path]]) -> pd.DataFrame:
    """Return a row for each dataset and model: the counts of its records, and the checks of its embeddings.

    verified: each verified.json, by dataset.
    """
    import pandas as pd

    rows = []
    for dataset, found in counts.items():
        row: dict[str, Any] = {"dataset": dataset, "records": found.status.total()}
        row |= {status: found.status[status] for status in ("accepted", "duplicate", "dropped")}
        row |= {"records with changed characters": found.records_changed, "characters changed": found.changed}
        rows += [row | checks_of(path) for path in verified.get(dataset, [])] or [row]
    return pd.DataFrame(rows).convert_dtypes()


def checks_of(path: Path) -> dict[str, Any]:
    """Return the checks of embeddings for a row of the validation. path: of verified.json."""
    report = read_json(path)
    return {
        "model": path.parent.name,
        "records in embeddings.h5": report["records"],
        "longest sequence": report["longest"],
        "shortened": report["truncated_sequences"],
        "in windows": report["windowed_sequences"],
        "files": len(report["files"]),
        "compared": "; ".join(report["checked"]),
        "checkpoint": report["checkpoint_sha256"][:12],
    }
