"""Draw a map as a self-contained page: hover, search, zoom, click a label to hide it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, CustomJS, HoverTool
from bokeh.models.annotations import ColorBar
from bokeh.models.mappers import LinearColorMapper
from bokeh.models.renderers import GlyphRenderer
from bokeh.models.widgets import Div, TextInput
from bokeh.plotting import figure
from bokeh.resources import INLINE

from lucaflow.files.writing import write_text
from lucaflow.report.colours import colour_of_labels
from lucaflow.report.maps import Map

HOVER = [("id", "@id"), ("description", "@description"), ("label", "@label"), ("length", "@length")]
# Shows the points whose id, description or label contains the typed text, and fades all others.
SEARCH = """
const wanted = cb_obj.value_input.trim().toLowerCase()
let count = 0
for (const renderer of renderers) {
  const {id, description, label} = renderer.data_source.data
  const hits = []
  for (let i = 0; wanted !== "" && i < id.length; i++)
    if ([id[i], description[i], label[i]].some((text) => text.toLowerCase().includes(wanted)))
      hits.push(i)
  renderer.data_source.selected.indices = hits
  renderer.muted = wanted !== "" && hits.length === 0
  count += hits.length
}
found.text = wanted === "" ? "" : `${count} found`
"""
FADED = {"nonselection_alpha": 0.04, "muted_alpha": 0.04, "selection_alpha": 1.0, "alpha": 0.8}


def draw_html(drawing: Map, path: Path) -> None:
    """Draw the map as one page: coloured by label, or by length if there are no labels."""
    plot = figure(
        title=drawing.title,
        x_axis_label=drawing.axes[0],
        y_axis_label=drawing.axes[1],
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        sizing_mode="stretch_both",
        min_height=480,
    )
    plot.add_tools(HoverTool(tooltips=HOVER))
    renderers = _by_label(plot, drawing) if drawing.is_labelled else [_by_length(plot, drawing)]
    search = TextInput(title="Search", placeholder="id, description or label", name="search")
    found = Div(name="found", styles={"padding-top": "1.6em"})
    search.js_on_change("value_input", CustomJS(args={"renderers": renderers, "found": found}, code=SEARCH))
    page = column(row(search, found), plot, sizing_mode="stretch_both")
    write_text(path, file_html(page, INLINE, title=drawing.title))


def _source(drawing: Map, chosen: Any) -> ColumnDataSource:
    """Return the chosen points of a map for the page, with numbers in binary form."""
    points = drawing.points[chosen]
    texts = {name: points[name].tolist() for name in ("id", "description", "label")}
    numbers = {name: points[name].to_numpy(np.float32) for name in ("x", "y")}
    return ColumnDataSource({**texts, **numbers, "length": points["length"].to_numpy(np.int32)})


def _by_label(plot: Any, drawing: Map) -> list[GlyphRenderer]:
    renderers = []
    for label, colour in colour_of_labels(drawing.labels).items():
        source = _source(drawing, drawing.points["label"] == label)
        named: dict[str, Any] = {"legend_label": label} if label else {}
        renderers.append(
            plot.scatter(
                "x", "y", source=source, size=1.6 * drawing.size, color=colour, line_color=None, **FADED, **named
            )
        )
    plot.legend.click_policy = "hide"
    plot.add_layout(plot.legend[0], "right")
    return renderers


def _by_length(plot: Any, drawing: Map) -> GlyphRenderer:
    source = _source(drawing, slice(None))
    lengths = drawing.points["length"]
    mapper = LinearColorMapper(palette="Viridis256", low=int(lengths.min()), high=int(lengths.max()))
    colours = {"field": "length", "transform": mapper}
    shown = plot.scatter("x", "y", source=source, size=1.6 * drawing.size, color=colours, line_color=None, **FADED)
    plot.add_layout(ColorBar(color_mapper=mapper, title="length (residues)"), "right")
    return shown
