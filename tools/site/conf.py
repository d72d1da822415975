"""The manual as a site, by Sphinx: `make site` writes it to build/site. Its pages are the repository's own."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

# The parts of the manual: the title of each page there, and its place in the repository.
PARTS = {
    "Start": {
        "Install": "docs/installation",
        "First run": "docs/first_run",
        "Your files": "docs/inputs",
        "Time and space": "docs/estimate",
        "The files of a run": "docs/results",
        "Troubleshooting": "docs/troubleshooting",
    },
    "Guides": {
        "Models": "docs/checkpoints",
        "Compare encoders": "docs/compare",
        "Neighbours and groups": "docs/neighbours",
        "Maps": "docs/maps",
        "Predictions": "docs/predictions",
        "A downstream model of your own": "docs/own_models",
        "Matrices that you have": "docs/matrices",
        "Train your own": "docs/training",
        "Scores of mutations": "docs/scores",
        "Long sequences": "docs/windows",
        "On a cluster": "docs/cluster",
        "Several GPUs": "docs/workstation",
        "Large datasets": "docs/large",
        "Offline": "docs/offline",
        "Read the results": "docs/reading",
        "Notebooks": "docs/notebooks",
        "In a workflow of yours": "docs/workflows",
    },
    "Reference": {
        "Configuration": "config/README",
        "Functions in Python": "docs/python",
        "The lines of a run": "docs/transcripts",
        "When something fails": "docs/faults",
        "After a change": "docs/changes",
        "Changes of each version": "CHANGELOG",
    },
    "Background": {
        "Exactness": "docs/exactness",
        "Speed": "docs/speed",
        "How it is built": "docs/design",
        "The small networks": "docs/mini",
        "The demonstration": "resources/demo/README",
        "Recorded encoders": "tests/golden/encoders/README",
        "Contributing": "CONTRIBUTING",
    },
}
PAGES = [page for part in PARTS.values() for page in part.values()]

project = "LucaFlow"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = [f"{page}.md" for page in (root_doc, *PAGES)]
# Links to headings, as code hosts make them.
myst_heading_anchors = 4
html_theme = "furo"
html_title = "LucaFlow"
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_show_copyright = False
# Summaries would be fetched, which browsers refuse to pages that are opened from a folder.
html_show_search_summary = False
# Blocks of code whose language is unknown are shown as they are.
suppress_warnings = ["misc.highlighting_failure"]


def add_parts(_: Sphinx, name: str, source: list[str]) -> None:
    """Add the list of all pages to the front page, which has none in the repository."""
    if name == root_doc:
        for part, pages in PARTS.items():
            entries = "".join(f"{title} <{page}>\n" for title, page in pages.items())
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {part}\n\n{entries}```\n"


def refuse_forgotten_pages(app: Sphinx) -> None:
    """Raise ValueError if a page of docs/ is in no part."""
    if forgotten := {f"docs/{path.stem}" for path in Path(app.srcdir).glob("docs/*.md")} - {*PAGES}:
        raise ValueError(f"tools/site/conf.py names no part for {', '.join(sorted(forgotten))}")


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_parts)
    app.connect("builder-inited", refuse_forgotten_pages)
