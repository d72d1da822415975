"""The first page of the report: the name of the run, its date, key figures and one picture."""

from __future__ import annotations

import base64
import html
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lucaflow.records.counts import Counts
from lucaflow.report.pages import paragraph, title_of_page


def overview(
    folder: Path, counts: Mapping[str, Counts], models: Sequence[str], predictions: Sequence[Mapping[str, Any]],
    picture: tuple[Path, str] | None,
) -> str:  # fmt: skip
    """Return the page. It has no style of its own, because the report shows it on its first page.

    folder: of the run, whose name is that of the run; counts: by dataset; models: that embedded; predictions: each
    <task>.json; picture: a PNG, and what it shows.
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
            _picture(*picture) if picture else "",
        )
    )


def name_of_run(folder: Path) -> str:
    """Return the name of the folder in which the run is.

    >>> name_of_run(Path("/data/our_proteins"))
    'our_proteins'
    """
    return folder.resolve().name or "LucaFlow"


def _picture(path: Path, shows: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<img style='max-width:100%;max-height:50vh' alt='' src='data:image/png;base64,{data}'>\n{paragraph(shows)}"
