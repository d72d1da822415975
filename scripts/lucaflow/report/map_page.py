"""Draw a map as a self-contained page: hover, zoom, search, colour by any column, select points, see neighbours."""

from __future__ import annotations

import logging
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
from bokeh.layouts import column, row
from bokeh.models import CDSView, ColumnDataSource, CustomJS, HoverTool, IndexFilter
from bokeh.models.annotations import ColorBar, Legend, LegendItem
from bokeh.models.mappers import LinearColorMapper, LogColorMapper
from bokeh.models.widgets import Button, Div, Select, TextAreaInput, TextInput
from bokeh.plotting import figure
from bokeh.resources import INLINE

from lucaflow.files.writing import write_text
from lucaflow.report.colours import LOOK_OF_NONE, LOOK_OF_OTHER, Look, look_of, name_in_legend, shortened
from lucaflow.report.columns import MOST_CHARACTERS, MOST_LABELS, Numbers, Texts, column_of, texts_of
from lucaflow.report.maps import Map

logger = logging.getLogger(__name__)

# Characters of all columns of texts. A browser takes seconds to open a page with more.
MOST_TEXT = 30_000_000
SCRIPT = Path(__file__).with_name("map_page.js")
# Points that a search did not find, or that are not selected, stay in sight.
FADED = {"alpha": 0.85, "selection_alpha": 1.0, "nonselection_alpha": 0.15, "muted_alpha": 0.15}
TEMPLATE = """{% block preamble %}<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body { font-family: Helvetica, Arial, sans-serif; }</style>{% endblock %}
"""


def draw_html(drawing: Map, path: Path) -> None:
    """Draw the map as one page: coloured by label, or by length if there are no labels, and then by any column."""
    columns, left_out = _columns_of(drawing)
    plot = figure(
        name="map",
        x_axis_label=drawing.axes[0],
        y_axis_label=drawing.axes[1],
        tools="pan,wheel_zoom,box_zoom,tap,lasso_select,box_select,reset,save",
        active_scroll="wheel_zoom",
        toolbar_location="above",
        sizing_mode="stretch_both",
        min_height=320,
    )
    plot.axis.axis_label_text_font_style = "normal"
    if not drawing.has_ticks:
        plot.axis.major_tick_line_color = plot.axis.minor_tick_line_color = None
        plot.axis.major_label_text_font_size = "0px"
    args = _points_and_legend(plot, drawing, columns)
    hover = HoverTool(tooltips=None, visible=False)
    plot.add_tools(hover)
    above, below, widgets = _widgets(drawing, columns, left_out)
    args |= widgets | {"plot": plot, "hover": hover, "columns": [_as_arguments(each) for each in columns]}
    args |= _neighbours_and_residues(drawing)
    document = Document(title=f"{drawing.title}: map")
    document.add_root(column(*above, plot, *below, sizing_mode="stretch_both", margin=8))
    document.js_on_event(DocumentReady, CustomJS(args=args, code=SCRIPT.read_text(encoding="utf-8")))
    write_text(path, file_html(document, INLINE, template=TEMPLATE))


def _columns_of(drawing: Map) -> tuple[list[Texts | Numbers], list[str]]:
    """Return the columns of a page, and the names of those that are too long for it.

    The first one colours the page when it is opened. The last one has the descriptions, which colour nothing.
    """
    descriptions = texts_of("description", drawing.points["description"].str[:MOST_CHARACTERS])
    columns: list[Texts | Numbers] = [drawing.coloured_by, *[drawing.length] * drawing.is_labelled]
    columns += [
        texts_of(name, values) if name in drawing.categories else column_of(name, values)
        for name, values in ((str(name), values) for name, values in drawing.columns.items())
    ]
    kept, left_out, characters = [], [], sum(map(len, descriptions.different))
    for each in columns:
        size = sum(map(len, each.different)) if isinstance(each, Texts) else 0
        if characters + size > MOST_TEXT:
            left_out.append(each.name)
        else:
            characters += size
            kept.append(each)
    if left_out:
        logger.warning("the page has no room for these columns: %s", ", ".join(left_out))
    return [*kept, descriptions], left_out


def _points_and_legend(plot: Any, drawing: Map, columns: list[Texts | Numbers]) -> dict[str, Any]:
    """Draw nothing yet, but add all that can be drawn: points of each look, points by number, a legend, scales.

    Which points have which look is decided in the browser, for the column that is chosen.
    """
    count = len(drawing.points)
    positions = {name: drawing.points[name].to_numpy(np.float32) for name in ("x", "y")}
    source = ColumnDataSource({**positions, "shade": np.zeros(count)})
    scales = [LinearColorMapper(palette="Viridis256"), LogColorMapper(palette="Viridis256")]
    labels = min(MOST_LABELS, max(len(each.different) for each in columns if isinstance(each, Texts)))

    def scatter(look: Look, colour: Any) -> Any:
        view = CDSView(filter=IndexFilter(indices=[]))
        size = 1.6 * drawing.size
        return plot.scatter(
            "x", "y", source=source, view=view, size=size, marker=look.marker, color=colour, line_color=None, **FADED
        )

    # Grey points are below all others, and frequent labels below rare ones.
    other, none = (scatter(look, look.colour) for look in (LOOK_OF_OTHER, LOOK_OF_NONE))
    shaded = [scatter(LOOK_OF_OTHER, {"field": "shade", "transform": scale}) for scale in scales]
    named = [scatter(look_of(number), look_of(number).colour) for number in range(labels)]
    items = [LegendItem(label="", renderers=[each]) for each in (*named, other, none)]
    beside, below = ([_legend(), *map(_bar, scales)] for _ in range(2))
    for place, keys in (("right", beside), ("below", below)):
        for key in keys:
            plot.add_layout(key, place)
    return {"source": source, "named": named, "other": other, "none": none, "shaded": shaded, "beside": beside,
            "below": below, "items": items, "scales": scales, "ids": drawing.points["id"].tolist()}  # fmt: skip


def _legend() -> Legend:
    return Legend(
        click_policy="hide",
        border_line_color=None,
        background_fill_alpha=0,
        label_text_font_size="12px",
        spacing=1,
        visible=False,
    )


def _bar(scale: Any) -> ColorBar:
    return ColorBar(color_mapper=scale, visible=False, title=" ", title_text_font_style="normal")


def _widgets(
    drawing: Map, columns: list[Texts | Numbers], left_out: list[str]
) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """Return what is above the plot, what is below it, and the widgets by name."""
    choices: list[Any] = [(str(i), shortened(each.name, 60)) for i, each in enumerate(columns[:-1])]
    missing = f" · without columns that are too long: {', '.join(left_out)}" if left_out else ""
    remarks = "".join(f"<br>{escape(remark)}" for remark in drawing.remarks)
    title = f"<b style='font-size:1.4em'>{escape(drawing.title)}</b><br>{escape(drawing.details + missing)}"
    colour = Select(title="Colour by", name="colour", value="0", options=choices, width=200)
    search = TextInput(title="Search", name="search", placeholder="id or any text", width=200)
    found = Div(name="found", styles={"padding-top": "1.8em"})
    count = Div(name="count", width=200, text="")
    selected = TextAreaInput(
        name="selected", rows=3, max_length=None, placeholder="ids", min_width=220, sizing_mode="stretch_width"
    )
    copy = Button(label="Copy ids", name="copy", disabled=True, width=90)
    save = Button(label="Save ids", name="save", disabled=True, width=90)
    fasta = Button(label="Save FASTA", name="fasta", disabled=True, width=100, visible=drawing.residues is not None)
    around = Button(
        label="Select neighbours", name="around", disabled=True, width=140, visible=drawing.related is not None
    )
    near = Div(name="near", text="", disable_math=True, min_width=260, visible=drawing.related is not None)
    near.styles = {"max-height": "130px", "overflow": "auto"}
    wrapped = {"flex-wrap": "wrap"}
    above = [
        Div(name="title", text=title + remarks, disable_math=True, sizing_mode="stretch_width"),
        row(colour, search, found, styles=wrapped, sizing_mode="stretch_width"),
    ]
    buttons = row(copy, save, fasta, around, styles=wrapped)
    below = [row(column(count, buttons), selected, near, styles=wrapped, sizing_mode="stretch_width")]
    widgets = {"colour": colour, "search": search, "found": found, "count": count, "selected": selected}
    widgets |= {"copy": copy, "save": save, "fasta": fasta, "around": around, "near": near}
    return above, below, widgets | {"file": f"{drawing.title}.ids.txt"}


def _neighbours_and_residues(drawing: Map) -> dict[str, Any]:
    """Return what the page knows of the neighbours and the sequences of points; nothing of what it does not have."""
    of, residues = drawing.related, drawing.residues
    related = of and {"names": of.names, "points": of.points.astype(np.int32), "k": of.rows.shape[1],
                      "rows": of.rows.astype(np.int32).ravel(), "similarity": of.similarity.ravel()}  # fmt: skip
    return {
        "related": related,
        "residues": residues and {"texts": residues.texts, "numbers": residues.numbers.astype(np.int32)},
        "fasta_file": f"{drawing.title}.selected.fasta",
    }


def _as_arguments(each: Texts | Numbers) -> dict[str, Any]:
    """Return a column for the page, with numbers in binary form."""
    if isinstance(each, Numbers):
        low, high = each.bounds
        missing = int(np.isnan(each.values).sum())
        return {"name": each.name, "values": each.values, "wide": each.is_wide, "low": low, "high": high,
                "missing": missing}  # fmt: skip
    counts = each.counts
    named = [name_in_legend(text, int(counts[number])) for number, text in enumerate(each.different[:MOST_LABELS])]
    small = np.int16 if len(each.different) < 2**15 else np.int32
    return {"name": each.name, "texts": each.different, "numbers": each.numbers.astype(small), "named": named}
