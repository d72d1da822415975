"""What a report shows of all datasets together: how long sequences are, and what was checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from lucaflow.figures import plain, save_png
from lucaflow.normalisation import Counts

COLUMNS = 3
MOST_PANELS = 24
BINS = 40
# Lengths that differ by more than this factor are shown on a logarithmic axis.
WIDE = 20


def bounds_of(lengths: Sequence[int]) -> np.ndarray:
    """Return the bounds of a histogram's bars: equally wide, or growing by a factor where lengths differ much.

    They lie between whole numbers, and bars that grow begin with one length each.
    """
    shortest, longest = min(lengths), max(lengths)
    if longest > WIDE * shortest:
        return np.unique(np.geomspace(shortest, longest + 1, BINS + 1).round()) - 0.5
    width = -(-(longest - shortest + 1) // BINS)
    return np.arange(shortest, longest + width + 1, width) - 0.5


def draw_lengths(counts: Mapping[str, Counts], path: Path) -> None:
    """Draw a histogram of the lengths of each dataset's distinct sequences; of the first ones, if there are many."""
    shown = dict(list(counts.items())[:MOST_PANELS])
    columns = min(COLUMNS, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure, grid = plt.subplots(rows, columns, figsize=(3.6 * columns, 2.6 * rows), layout="constrained", squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, (dataset, found) in zip(grid.flat, shown.items(), strict=False):
        bounds = bounds_of(list(found.lengths))
        axes.hist(list(found.lengths), bins=bounds, weights=list(found.lengths.values()), color="#4c78a8")
        if not np.isclose(*np.diff(bounds)[[0, -1]]):
            axes.set_xscale("log")
        axes.set_title(plain(f"{dataset}: {found.distinct:,} distinct sequences"), fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    left_out = f"; the first {MOST_PANELS} of {len(counts)} datasets" if len(counts) > MOST_PANELS else ""
    figure.supxlabel(f"length (residues){left_out}", fontsize="small")
    figure.supylabel("sequences", fontsize="small")
    save_png(figure, path)


def validation(counts: Mapping[str, Counts], verified: Mapping[str, Path]) -> pd.DataFrame:
    """Return a row for each dataset: what became of its records, and what was compared in its embeddings.

    verified: the verified.json of the datasets that were embedded.
    """
    rows = []
    for dataset, found in counts.items():
        row: dict[str, Any] = {"dataset": dataset, "records": found.status.total()}
        row |= {status: found.status[status] for status in ("accepted", "duplicate", "dropped")}
        row |= {"records with changed characters": found.records_changed, "characters changed": found.changed}
        if dataset in verified:
            report = json.loads(verified[dataset].read_text(encoding="utf-8"))
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
