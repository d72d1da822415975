"""Measure how long a map of many points takes to draw, to open in a browser, to search, to colour and to zoom.

Usage: python tests/benchmarks/maps.py. It needs Chromium and its driver, which render on the processor.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from browser import browser, open_page, wait_for_map

from lucaflow.report.map_page import draw_html
from lucaflow.report.maps import Map
from lucaflow.report.projections import project

COUNTS = (1_000, 10_000, 100_000)
TIMES = 2
FAMILIES = 15
# The classes of two tasks: places in the cell, and species.
PREDICTED = {"ProtLoc": 6, "SpeciesTax": 180}
# Two frames, since the first may have been requested before the change.
AFTER = "requestAnimationFrame(() => requestAnimationFrame(() => arguments_done(performance.now() - start)))"
SEARCH = f"""
const arguments_done = arguments[0], start = performance.now()
Bokeh.documents[0].get_model_by_name("search").value_input = "PROT77"
{AFTER}"""
COLOUR = f"""
const arguments_done = arguments[0], start = performance.now()
Bokeh.documents[0].get_model_by_name("colour").value = "1"
{AFTER}"""
ZOOM = f"""
const arguments_done = arguments[0], start = performance.now()
const range = Bokeh.documents[0].get_model_by_name("map").x_range
range.setv({{start: range.start + 0.1, end: range.end - 0.1}})
{AFTER}"""


def big_map(count: int, predicted: bool = True) -> Map:
    """Return a map of groups of points, with ids and descriptions as long as those of Swiss-Prot.

    predicted: whether there are columns of two tasks and of scores.
    """
    draw = np.random.default_rng(0)
    family = draw.integers(0, FAMILIES, count)
    points = pd.DataFrame(
        {
            "id": [f"sp|Q{i:05d}|PROT{i}" for i in range(count)],
            "description": [
                f"Protein {i} OS=Escherichia coli (strain K12) OX=83333 GN=g{i} PE=1 SV=1" for i in range(count)
            ],
            "label": [f"family {number}" for number in family],
            "length": draw.integers(20, 2000, count),
            "x": draw.standard_normal(count) + 3 * (family % 4),
            "y": draw.standard_normal(count) + 3 * (family // 4),
        }
    )
    further = pd.DataFrame({"organism": [f"organism {number}" for number in draw.integers(0, 500, count)]})
    if predicted:
        for task, classes in PREDICTED.items():
            further[task] = [f"class {number}" for number in draw.integers(0, classes, count)]
            further[f"{task} probability"] = [str(share) for share in draw.random(count, np.float32)]
        further["pseudo-perplexity"] = [f"{value:.4f}" for value in draw.uniform(2, 20, count)]
    return Map(points, f"{count} points", "mean embeddings", ("x", "y"), further)


def measure(count: int, path: Path, predicted: bool) -> list[str]:
    """Return a row of the table: points, columns, size of the page, and the seconds of each action."""
    shown = big_map(count, predicted)
    start = time.perf_counter()
    draw_html(shown, path)
    drawn = time.perf_counter() - start
    with browser() as driver:
        driver.set_script_timeout(120)
        start = time.perf_counter()
        open_page(driver, path)
        wait_for_map(driver)
        opened = time.perf_counter() - start
        searched = driver.execute_async_script(SEARCH) / 1000
        coloured = driver.execute_async_script(COLOUR) / 1000
        zoomed = sorted(driver.execute_async_script(ZOOM) for _ in range(9))[4] / 1000
    seconds = (drawn, opened, searched, coloured, zoomed)
    columns, size = len(shown.columns.columns) + 2, path.stat().st_size / 1e6
    return [f"{count:,}", str(columns), f"{size:.1f}", *(f"{each:.2f}" for each in seconds)]


def main() -> None:
    """Print a row for each number of points, then the seconds of each projection."""
    print(
        "| points | columns | page, MB | to write, s | to open, s | to search, s | to colour, s | a step of zoom, s |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            # In turn, since the machine may have other work: without and with predictions.
            for predicted in (False, True) * TIMES:
                print(f"| {' | '.join(measure(count, Path(folder) / 'map.html', predicted))} |", flush=True)
    draw = np.random.default_rng(0)
    for count in COUNTS:
        vectors = draw.standard_normal((count, 2560), dtype=np.float32) + 3 * draw.integers(
            0, 2, (count, 1), dtype=np.int8
        )
        for projection in ("components", "tsne", "umap"):
            start = time.perf_counter()
            project(vectors, projection, threads=2)
            print(f"{projection} of {count:,} vectors: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
