"""The table at the end of a run: a row for each dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lucaflow.files.json_files import read_json
from lucaflow.records.counts import Counts

if TYPE_CHECKING:  # only functions that make tables load it: rules and embedding jobs need the others
    import pandas as pd

DEMONSTRATION = "`mini` is a small network that comes with LucaFlow: for demonstration, not for science."
_NOT_EMBEDDED = dict.fromkeys(
    ("truncated", "windowed", "seconds", "residues_per_second", "memory_mb", "embeddings_mb", "shards_mb", "embeddings")
)
# Columns that the terminal shows only if they have values.
_SELDOM = ("truncated", "windowed")
_SHORT_NAMES = {
    "changed_records": "changed",
    "distinct_sequences": "distinct",
    "residues_per_second": "residues/s",
    "memory_mb": "memory MB",
    "embeddings_mb": "h5 MB",
    "shards_mb": "shards MB",
}


def summarise(
    counts: Mapping[str, Counts], verified: Mapping[str, Path], predicted: Iterable[Path], working: Path
) -> pd.DataFrame:
    """Return a row for each dataset: the counts of its records and, if it was embedded, the time and space it took.

    counts: by dataset; verified: verified.json by embedded dataset; predicted: the <task>.json of predictions; working:
    the folder with logs and benchmarks.
    """
    import pandas as pd

    predictions: dict[str, list[str]] = {}
    for path in predicted:
        about = read_json(path)
        notes = [f"{about['failed']} failed"] * bool(about["failed"]) + [about["note"]] * bool(about["note"])
        noted = f" ({', '.join(notes)})" if notes else ""
        predictions.setdefault(about["dataset"], []).append(f"{about['predicted']} of {about['task']}{noted}")
    rows = []
    for dataset, found in counts.items():
        results = _embedding(verified[dataset], working) if dataset in verified else _NOT_EMBEDDED
        made = "; ".join(predictions.get(dataset, []))
        rows.append({"dataset": dataset, "model": "", **_outcomes(found), **results, "predictions": made})
    return pd.DataFrame(rows).convert_dtypes()


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
    jobs = [
        Path("embed", path.parent.parent.name, path.parent.name, Path(name).relative_to("shards").with_suffix(""))
        for name in sizes
        if name.startswith("shards/")
    ]
    seconds, memory = cost_of_embedding(working, jobs)
    rate = rate_of_embedding(working, jobs)
    return {
        "model": path.parent.name,
        "truncated": report["truncated_sequences"],
        "windowed": report["windowed_sequences"],
        "seconds": seconds,
        "residues_per_second": None if rate is None else round(rate),
        "memory_mb": memory,
        "embeddings_mb": round(sizes["embeddings.h5"] / 1e6, 2),
        "shards_mb": round(sum(size for name, size in sizes.items() if name.startswith("shards/")) / 1e6, 2),
        "embeddings": str(path.with_name("embeddings.h5")),
    }


def computed_beside(log: Path) -> Path:
    """Return the file beside the log of an embedding job with the residues and the seconds that it computed."""
    return log.with_suffix(".computed.json")


def cost_of_embedding(working: Path, jobs: Sequence[Path]) -> tuple[float | None, int | None]:
    """Return the seconds of the embedding jobs together, start-up included, and the most memory that one took, in MB.

    Each is None if it was not measured. jobs: the paths of their benchmarks below `working`/benchmarks, without suffix.
    """
    import pandas as pd

    tables = [working / "benchmarks" / f"{job}.tsv" for job in jobs]
    if not tables or not all(table.is_file() for table in tables):
        return None, None
    measured = pd.concat([pd.read_csv(table, sep="\t", na_values="-") for table in tables])
    memory = measured["max_rss"].max()
    return round(float(measured["s"].sum()), 1), None if pd.isna(memory) else round(memory)


def rate_of_embedding(working: Path, jobs: Sequence[Path]) -> float | None:
    """Return the residues per second that the jobs computed, or None if it was not measured.

    Residues from an earlier try, or from another shard, do not count. jobs: the paths of their logs below
    `working`/logs, without suffix.
    """
    paths = [computed_beside(working / "logs" / f"{job}.log") for job in jobs]
    computed = [read_json(path, "Delete it and run again.") for path in paths if path.is_file()]
    residues, seconds = (sum(each[name] for each in computed) for name in ("residues", "seconds"))
    return residues / seconds if seconds else None


def as_text(table: Path) -> str:
    """Return the table of a run for the terminal, with the folders of its results."""
    import pandas as pd

    rows = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)
    embedded = [Path(path).parent for path in rows.pop("embeddings") if path]
    folders = "\n".join(f"  {folder}/" for folder in embedded)
    pages = [folder / "figures/map.html" for folder in embedded]
    made = zip(rows["dataset"], rows.pop("predictions"), strict=True)
    predictions = "\n".join(f"  results/{dataset}/predictions/: {done}" for dataset, done in made if done)
    rows = rows.drop(columns=[name for name in _SELDOM if name in rows and set(rows[name]) <= {"0", ""}])
    text = rows.rename(columns=_SHORT_NAMES).replace("", "-").to_string(index=False)
    warning = f"\n{DEMONSTRATION}\n" if rows["model"].str.startswith("mini-").any() else ""
    maps = ", as a page figures/map.html," if any(path.is_file() for path in pages) else ""
    where = f"\nEmbeddings (embeddings.h5) and figures{maps} are in:\n{folders}\n" if folders else ""
    where += f"\nPredictions are in:\n{predictions}\n" if predictions else ""
    return (
        f"\n{text}\n\nSeconds are those of the embedding jobs, with starting Python and loading the network; "
        "residues/s count the computation alone.\n"
        f"{warning}{where}"
    )


def validation(counts: Mapping[str, Counts], verified: Mapping[str, Path]) -> pd.DataFrame:
    """Return a row for each dataset: the counts of its records, and the checks of its embeddings.

    verified: verified.json by embedded dataset.
    """
    import pandas as pd

    rows = []
    for dataset, found in counts.items():
        row: dict[str, Any] = {"dataset": dataset, "records": found.status.total()}
        row |= {status: found.status[status] for status in ("accepted", "duplicate", "dropped")}
        row |= {"records with changed characters": found.records_changed, "characters changed": found.changed}
        if dataset in verified:
            report = read_json(verified[dataset])
            row |= {
                "records in embeddings.h5": report["records"],
                "longest sequence": report["longest"],
                "shortened": report["truncated_sequences"],
                "in windows": report["windowed_sequences"],
                "files": len(report["files"]),
                "compared": "; ".join(report["checked"]),
                "checkpoint": report["checkpoint_sha256"][:12],
            }
        rows.append(row)
    return pd.DataFrame(rows).convert_dtypes()
