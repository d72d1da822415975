"""The first page of the report: the name of the run, its date, key figures, pictures, and what labels say of models."""

from __future__ import annotations

import base64
import csv
import html
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lucaflow.records.columns import MISSING
from lucaflow.records.counts import Counts
from lucaflow.report.pages import paragraph, table, title_of_page


class LabelAgreement(NamedTuple):
    """The share of sequences that get their own label by their neighbours.

    vectors: a model, or a baseline; among: which sequences of the dataset, all or one of each cluster.
    """

    dataset: str
    vectors: str
    among: str
    is_baseline: bool
    share: float
    low: float
    high: float

    def in_words(self) -> str:
        return f"{self.share:.0%} ({self.low:.0%} to {self.high:.0%})"


def overview(
    folder: Path, counts: Mapping[str, Counts], models: Sequence[str], predictions: Sequence[Mapping[str, Any]],
    pictures: Sequence[Path], shows: str = "", labels: Sequence[LabelAgreement] = (), cited: Sequence[str] = (),
) -> str:  # fmt: skip
    """Return the page. It has no style of its own, because the report shows it on its first page.

    folder: of the run, whose name is that of the run; counts: by dataset; models: that embedded; predictions: each
    <task>.json; pictures: PNGs, which are shown side by side where there is room; shows: what they show; labels: how
    often the neighbours of each model have the same label; cited: the sentences that say what to cite.
    """
    figures = [
        (len(counts), "dataset", "datasets"),
        (sum(found.status.total() for found in counts.values()), "record", "records"),
        (sum(found.distinct for found in counts.values()), "distinct sequence", "distinct sequences"),
        (sum(found.residues for found in counts.values()), "nucleotide or residue", "nucleotides and residues"),
        (sum(about["predicted"] for about in predictions), "prediction", "predictions"),
    ]
    lines = [f"<b>{number:,}</b> {one if number == 1 else many}" for number, one, many in figures if number]
    lines += [f"model{'s' * (len(models) > 1)}: {html.escape(', '.join(models))}"] * bool(models)
    tasks = sorted({about["task"] for about in predictions})
    lines += [f"task{'s' * (len(tasks) > 1)}: {html.escape(', '.join(tasks))}"] * bool(tasks)
    return "".join(
        (
            "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>",
            f"<title>{html.escape(name_of_run(folder))}</title>\n",
            title_of_page(name_of_run(folder)),
            paragraph(f"Results of {time.strftime('%Y-%m-%d')}."),
            f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>\n",
            _side_by_side(pictures, shows) if pictures else "",
            _agreements(labels) if labels else "",
            "".join(map(paragraph, cited)),
        )
    )


def name_of_run(folder: Path) -> str:
    """Return the name of the folder in which the run is.

    >>> name_of_run(Path("/data/our_proteins"))
    'our_proteins'
    """
    return folder.resolve().name or "LucaFlow"


def _side_by_side(paths: Sequence[Path], shows: str) -> str:
    """Return pictures as HTML: beside each other where they stay readable, else below each other."""
    width = "max-width:100%;max-height:50vh" if len(paths) == 1 else "flex:1 1 22em;min-width:0;max-width:44em"
    found = (base64.b64encode(path.read_bytes()).decode() for path in paths)
    images = "".join(f"<img style='{width}' alt='' src='data:image/png;base64,{data}'>" for data in found)
    return f"<div style='display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start'>{images}</div>\n{paragraph(shows)}"


def read_agreement(path: Path) -> list[LabelAgreement]:
    """Return the rows of a neighbours.metrics.tsv that compare the vectors of a model with others.

    path: in results/<dataset>/<model>.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["metric"] == "accuracy"]
    dataset, model = path.parts[-3:-1]
    return [
        LabelAgreement(
            dataset,
            row["vectors"],
            row["among"],
            row["vectors"] != model,
            *(float(row[key]) for key in ("value", "low", "high")),
        )
        for row in rows
        if row["value"] not in MISSING
    ]


def _agreements(found: Sequence[LabelAgreement]) -> str:
    """Return the table of how often neighbours have the same label, with each baseline of a dataset once."""
    rows: dict[tuple[str, str], dict[str, LabelAgreement]] = {}
    for each in found:
        rows.setdefault((each.dataset, each.vectors), {}).setdefault(each.among, each)
    datasets = [*dict.fromkeys(each.dataset for each in found)]
    first = [next(iter(row.values())) for row in rows.values()]
    ordered = sorted(first, key=lambda each: (datasets.index(each.dataset), each.is_baseline))
    columns = {"dataset": [each.dataset for each in ordered], "vectors": [each.vectors for each in ordered]}
    for among in dict.fromkeys(each.among for each in found):
        cells = [rows[each.dataset, each.vectors].get(among) for each in ordered]
        columns[f"own label by neighbours, {among}"] = [cell.in_words() if cell else "" for cell in cells]
    return table(columns) + paragraph(
        "How many labelled sequences get their own label by the votes of their nearest neighbours, with its 95 % "
        "interval: among all, and among one of each cluster of 90 % identity, since near copies find each other by any "
        "vectors. Composition, and labels dealt at random, are there to compare with."
    )
