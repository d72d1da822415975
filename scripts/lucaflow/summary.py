"""The table that a run ends in: a row for each dataset."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

UNTRAINED = "The weights of `mini` are drawn at random, not trained: to try LucaFlow out, not for science."
_SHORT_NAMES = {
    "distinct_sequences": "distinct",
    "residues_per_second": "residues/s",
    "embeddings_mb": "h5 MB",
    "shards_mb": "shards MB",
}


def summarise(verified: Iterable[Path], benchmarks: Path) -> pd.DataFrame:
    """Return a row for each verified.json, with the time its embedding jobs took and the space results take."""
    return pd.DataFrame([_row(path, benchmarks) for path in verified])


def _row(path: Path, benchmarks: Path) -> dict[str, Any]:
    report = json.loads(path.read_text(encoding="utf-8"))
    sizes = {name: entry["bytes"] for name, entry in report["files"].items()}
    seconds = embedding_seconds(benchmarks / path.parent.parent.name / path.parent.name, list(sizes))
    return {
        "dataset": report["dataset"],
        "model": path.parent.name,
        "records": report["records"],
        "distinct_sequences": report["distinct_sequences"],
        "residues": report["residues"],
        "truncated": report["truncated_sequences"],
        "windowed": report["windowed_sequences"],
        "seconds": None if seconds is None else round(seconds, 1),
        "residues_per_second": None if seconds is None else round(report["residues_embedded"] / seconds),
        "embeddings_mb": round(sizes["embeddings.h5"] / 1e6, 2),
        "shards_mb": round(sum(size for name, size in sizes.items() if name.startswith("shards/")) / 1e6, 2),
        "embeddings": str(path.with_name("embeddings.h5")),
    }


def embedding_seconds(benchmarks: Path, files: list[str]) -> float | None:
    """Return the time of the embedding jobs, start-up included; None where it was not measured."""
    tables = [
        benchmarks / Path(name).relative_to("shards").with_suffix(".tsv") for name in files if name[:7] == "shards/"
    ]
    if not tables or not all(table.is_file() for table in tables):
        return None
    return float(sum(pd.read_csv(table, sep="\t")["s"].sum() for table in tables))


def as_text(table: Path) -> str:
    """Return the table of a run for the terminal, and where to look."""
    rows = pd.read_csv(
        table,
        sep="\t",
        dtype={"dataset": str},
        keep_default_na=False,
        na_values={"seconds": [""], "residues_per_second": [""]},
    )
    folders = "\n".join(f"  {Path(path).parent}/" for path in rows.pop("embeddings"))
    shown = rows.rename(columns=_SHORT_NAMES)
    text = shown.to_string(index=False, na_rep="-", float_format="{:.10g}".format)
    untrained = f"\n{UNTRAINED}\n" if rows["model"].str.startswith("mini-").any() else ""
    return (
        f"\n{text}\n\nSeconds are those of the embedding jobs, starting Python and loading the network included.\n"
        f"{untrained}\nEmbeddings (embeddings.h5) and a map of each (figures/map.html) are in:\n{folders}\n"
    )


def as_html(rows: pd.DataFrame) -> str:
    """Return the table as a page of its own; every cell is escaped."""
    style = "body{font-family:sans-serif}table{border-collapse:collapse}td,th{padding:.3em .8em;text-align:right}"
    table = rows.to_html(index=False, border=0, na_rep="-", escape=True)
    return f"<!doctype html><meta charset=utf-8><title>Summary</title><style>{style}</style>{table}\n"
