"""Tables and texts as self-contained pages."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a page of text needs no pandas, which takes half a second to load
    import pandas as pd
# Columns with longer cells get a minimum width.
LONG = 60


def page(rows: pd.DataFrame, title: str) -> str:
    """Return a table as a page. Every cell is escaped, and columns of long text get a minimum width."""
    return _page_of_table(rows.rename(columns=_in_words), title)


def page_by_dataset(rows: pd.DataFrame, title: str) -> str:
    """Return a table of datasets as a page with a column for each dataset: there are few datasets and many values."""
    turned = rows.rename(columns=_in_words).set_index("dataset").astype(object).T
    return _page_of_table(turned.rename_axis("", axis=0).rename_axis(None, axis=1).reset_index(), title)


def _in_words(name: str) -> str:
    return name.replace("_mb", " MB").replace("_", " ")


def _page_of_table(rows: pd.DataFrame, title: str) -> str:
    table = rows.astype(object).where(rows.notna() & (rows != ""), "-")
    room = {name: "24em" for name in table if table[name].astype(str).str.len().max() > LONG}
    return _page(table.to_html(index=False, border=0, escape=True, col_space=room), title)


def page_of_text(text: str, title: str) -> str:
    """Return a text as a page, line by line."""
    return _page(f"<pre>{html.escape(text)}</pre>", title)


def _page(body: str, title: str) -> str:
    style = (
        "body{font:14px sans-serif;margin:1em}pre{font-size:13px}table{border-collapse:collapse}"
        "td,th{padding:.3em .6em;text-align:right;vertical-align:top;min-width:3em;border-bottom:1px solid #ddd}"
    )
    name = html.escape(title)
    return f"<!doctype html><meta charset=utf-8><title>{name}</title><style>{style}</style><p>{name}</p>{body}\n"
