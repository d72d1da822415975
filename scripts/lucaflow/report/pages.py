"""Tables and texts as self-contained pages."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # pages are made of any rows; pandas takes half a second to load
    import pandas as pd
# Columns with longer cells get a minimum width.
LONG = 60
_STYLE = (
    "body{font:14px sans-serif;margin:1em}h1{font-size:1.3em}h2{font-size:1.1em;margin-top:1.5em}"
    "table{border-collapse:collapse}td,th{padding:.3em .6em;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #ddd}td.number,th.number{text-align:right;min-width:3em}.long{min-width:24em}"
)


def page(rows: pd.DataFrame, title: str) -> str:
    """Return a table as a page. Every cell is escaped, and columns of long text get a minimum width."""
    cells = rows.astype(object).where(rows.notna(), None)
    columns = {in_words(str(name)): cells[name].tolist() for name in cells}
    return whole_page(title, [paragraph(title), table(columns)])


def in_words(name: str) -> str:
    """Return the name of a column as words.

    >>> in_words("memory_mb")
    'memory MB'
    """
    return name.replace("_mb", " MB").replace("_", " ")


def table(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return columns, by their names, as a table of HTML. Missing values are shown as `-`."""
    texts = {name: [shown(value) for value in values] for name, values in columns.items()}
    classes = {name: _class_of(values, texts[name]) for name, values in columns.items()}
    header = "".join(f"<th{classes[name]}>{html.escape(name)}</th>" for name in columns)
    rows = zip(
        *([f"<td{classes[name]}>{html.escape(text)}</td>" for text in texts[name]] for name in texts), strict=True
    )
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>\n{body}</tbody></table>"


def _class_of(values: Sequence[Any], texts: Sequence[str]) -> str:
    if all(_is_missing(value) or isinstance(value, Real) for value in values):
        return " class=number"
    return " class=long" if max(map(len, texts), default=0) > LONG else ""


def _is_missing(value: Any) -> bool:
    """Return whether a cell has no value: nothing, an empty text, NaN."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def shown(value: Any) -> str:
    """Return a value as a page shows it, a number with a fraction with four digits.

    >>> [shown(value) for value in (0.98765, 12345.678, 12345, "1.10", None)]
    ['0.9877', '12346', '12345', '1.10', '-']
    """
    if _is_missing(value):
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if math.isfinite(value) and abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def facts(rows: Iterable[tuple[str, Any]]) -> str:
    """Return names and values as a table of HTML, a row each."""
    lines = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(shown(value))}</td></tr>\n" for name, value in rows)
    return f"<table>\n{''.join(lines)}</table>"


def paragraph(text: str) -> str:
    """Return a text as a paragraph of HTML."""
    return f"<p>{html.escape(text)}</p>\n"


def title_of_page(text: str) -> str:
    """Return the title of a page, as HTML."""
    return f"<h1>{html.escape(text)}</h1>\n"


def heading(text: str) -> str:
    """Return a heading within a page."""
    return f"<h2>{html.escape(text)}</h2>\n"


def whole_page(title: str, parts: Iterable[str]) -> str:
    """Return a page of parts that are HTML. It needs nothing but itself, and fits the screen of a phone."""
    head = (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>\n"
    )
    return f"{head}{''.join(parts)}\n"
