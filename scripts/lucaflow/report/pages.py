"""Tables and texts as self-contained pages."""

from __future__ import annotations

import base64
import gzip
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import distribution
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # pages are made of any rows; pandas takes half a second to load
    import pandas as pd
# The package that brings the library DataTables, and the names of its files, which are read without importing it.
_LIBRARY = ("itables", "itables/html/dt_bundle")
# Columns with longer cells get a minimum width.
LONG = 60
_STYLE = (
    "body{font:14px sans-serif;margin:1em}h1{font-size:1.3em}h2{font-size:1.1em;margin-top:1.5em}"
    "table{border-collapse:collapse}td,th{padding:.3em .6em;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #ddd}td.number,th.number{text-align:right;min-width:3em}.long{min-width:24em}"
)


def page(rows: pd.DataFrame, title: str, notes: Iterable[str] = ()) -> str:
    """Return a table as a page: a click on a header sorts it, and the rows that hold a typed text stay.

    notes: paragraphs between the title and the table. Every cell is escaped, and columns of long text get a minimum
    width.
    """
    cells = rows.astype(object).where(rows.notna(), None)
    columns = {in_words(str(name)): cells[name].tolist() for name in cells}
    return page_of_parts(title, [*map(paragraph, notes), table(columns)])


def page_of_parts(title: str, parts: Iterable[str]) -> str:
    """Return a page of parts that are HTML, whose tables are sorted and filtered."""
    return whole_page(title, [title_of_page(title), *parts, _sorting()])


def in_words(name: str) -> str:
    """Return the name of a column as words.

    >>> in_words("memory_mb")
    'memory MB'
    """
    return name.replace("_mb", " MB").replace("_", " ")


def table(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return columns, by their names, as a table of HTML. Missing values are shown as `-`."""
    classes = {name: _class_of(values) for name, values in columns.items()}
    header = "".join(f"<th{classes[name]}>{html.escape(name)}</th>" for name in columns)
    cells = ([_cell(value, classes[name]) for value in values] for name, values in columns.items())
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in zip(*cells, strict=True))
    return f"<table><thead><tr>{header}</tr></thead><tbody>\n{body}</tbody></table>"


def _class_of(values: Sequence[Any]) -> str:
    if all(_is_missing(value) or isinstance(value, Real) for value in values):
        return " class=number"
    return " class=long" if max((len(str(value)) for value in values), default=0) > LONG else ""


def _cell(value: Any, kind: str) -> str:
    """Return a cell of HTML; a number with a fraction also with all its digits, by which it is sorted."""
    order = f" data-order={value!r}" if isinstance(value, float) and math.isfinite(value) else ""
    return f"<td{kind}{order}>{html.escape(shown(value))}</td>"


@cache
def _sorting() -> str:
    """Return the script that lets tables be sorted and filtered. It holds the library, packed: nothing is fetched.

    A browser without DecompressionStream (before 2023) shows the tables as they are.
    """
    script, style = (_packed(f"{_LIBRARY[1]}.{kind}") for kind in ("js", "css"))
    return _SCRIPT.replace("SCRIPT", script).replace("STYLE", style)


def _packed(name: str) -> str:
    """Return a file of the library in gzip and base64; always the same text for the same file."""
    path = Path(str(distribution(_LIBRARY[0]).locate_file(name)))
    return base64.b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode()


_SCRIPT = """<script type=module>
const unpacked = packed => {
  const bytes = new Blob([Uint8Array.from(atob(packed), letter => letter.charCodeAt(0))]);
  return new Response(bytes.stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
document.head.append(Object.assign(document.createElement("style"), {textContent: await unpacked("STYLE")}));
const source = new Blob([await unpacked("SCRIPT")], {type: "text/javascript"});
const {default: DataTable} = await import(URL.createObjectURL(source));
for (const table of document.querySelectorAll("table")) {
  new DataTable(table, {paging: false, order: [], autoWidth: false, language: {search: "Rows with:"}});
}
</script>"""


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
